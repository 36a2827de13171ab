"""What was measured, as people read it: tables, a chart, and one line for machines."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.benchmarks.comparison import Comparison
from tests.benchmarks.latency import Latency
from tests.benchmarks.parts import Part
from tests.benchmarks.stop_list import USUAL, LookUp
from tests.benchmarks.whole_ledger import Times

TITLE = "Messages a second, from the file to their ends, on two cores"

GOALS: Mapping[str, tuple[str, float]] = {
    "ratio_to_floor": ("≥", 0.65),
    "ratio_to_task_per_message": ("≥", 25),
    "urgent_p50_ms": ("≤", 10),
    "urgent_p99_ms": ("≤", 40),
    "urgent_p99_ms_under_load": ("≤", 250),
    "growth_ratio": ("≥", 0.9),
    "max_rss_mb": ("≤", 150),
    "million_s": ("≤", 90),
    "stop_list_share_of_claim": ("≤", 0.03),
}


@dataclass
class Report:
    """Everything there is; a phase that was left out has left nothing."""

    end_to_end: list[float] = field(default_factory=list)  # messages a second, a value a round, like the rest
    floor: list[float] = field(default_factory=list)
    roomy_floor: list[float] = field(default_factory=list)
    today: dict[str, list[float]] = field(default_factory=dict)  # by engine
    grown: list[float] = field(default_factory=list)  # over a full ledger
    empty: list[float] = field(default_factory=list)  # over an empty one, beside each of these
    by_processes: dict[int, list[float]] = field(default_factory=dict)
    idle: Latency | None = None
    beside: Latency | None = None
    rss_mb: dict[str, float] = field(default_factory=dict)  # the most of any run, by process
    ledger_mb_per_million: float | None = None
    redis_mb_per_million: float | None = None
    million_s: float | None = None
    parts: Sequence[Part] = ()
    look_ups: Sequence[LookUp] = ()
    comparison: Comparison | None = None
    whole_ledger: Times | None = None

    def see_rss(self, found: Mapping[str, float]) -> None:
        """Keep the most of each process."""
        for name, size in found.items():
            self.rss_mb[name] = max(size, self.rss_mb.get(name, 0.0))

    def figures(self) -> dict[str, float]:
        """The line for machines: what was measured."""
        whole, floor = _median(self.end_to_end), _median(self.floor)
        today = max(filter(None, map(_median, self.today.values())), default=None)  # the faster of them
        found = {
            "end_to_end_per_s": _rounded(whole),
            "floor_per_s": _rounded(floor),
            "task_per_message_per_s": _rounded(today, 1),
            "ratio_to_floor": _ratio(self.end_to_end, self.floor),
            "ratio_to_roomy_floor": _ratio(self.end_to_end, self.roomy_floor),
            "ratio_to_task_per_message": round(whole / today, 1) if whole and today else None,
            "urgent_p50_ms": _rounded(self.idle.p50 if self.idle else None, 1),
            "urgent_p99_ms": _rounded(self.idle.p99 if self.idle else None, 1),
            "urgent_p99_ms_under_load": _rounded(self.beside.p99 if self.beside else None, 1),
            "growth_ratio": _ratio(self.grown, self.empty),
            "max_rss_mb": _rounded(max(self.rss_mb.values(), default=None), 1),
            "redis_mb_per_million": _rounded(self.redis_mb_per_million),
            "ledger_mb_per_million": _rounded(self.ledger_mb_per_million),
            "million_s": _rounded(self.million_s, 1),
            "stop_list_share_of_claim": _rounded(_share(self.look_ups), 3),
            **(self.comparison.figures() if self.comparison else {}),
            **(self.whole_ledger.figures() if self.whole_ledger else {}),
        }
        return {name: value for name, value in found.items() if value is not None}

    def tables(self) -> str:
        """Markdown, as it stands in docs/explanation/performance.md."""
        figures = self.figures()
        blocks = [
            *(self.comparison.tables() if self.comparison else []),
            ["| way | messages a second | rounds, slowest to fastest |", "|---|---:|---|"]
            + [
                f"| {name} | {_rounded(_median(found)):,} | {_spread(found)} |"
                for name, found in self._ways()
            ],
            ["| figure | measured | goal |", "|---|---:|---|"]
            + [
                f"| {name} | {figures[name]} | {sign} {goal:g} |"
                for name, (sign, goal) in GOALS.items()
                if name in figures
            ],
            ["| process | peak MB |", "|---|---:|"]
            + [f"| {name} | {size:.0f} |" for name, size in sorted(self.rss_mb.items())],
            ["| part | ours, µs a message | PostgreSQL | Redis | wall |", "|---|---:|---:|---:|---:|"]
            + [
                f"| {one.name} | {one.ours:.1f} | {one.postgres:.1f} | {one.redis:.1f} | {one.wall:.1f} |"
                for one in self.parts
            ],
            self.whole_ledger.table() if self.whole_ledger else [],
            [
                "| numbers on the suppression list | a claim, µs a message | to look there | of a claim |",
                "|---:|---:|---:|---:|",
            ]
            + [
                f"| {one.length:,} | {one.claim:.1f} | {one.look_up:.2f} | {one.share:.1%} |"
                for one in self.look_ups
            ],
        ]
        return "\n\n".join("\n".join(block) for block in blocks if len(block) > 2)

    def _ways(self) -> list[tuple[str, list[float]]]:
        ways = [
            ("the floor: a bare script", self.floor),
            ("the same, with half-filled pages", self.roomy_floor),
            ("`worker send` to the last end", self.end_to_end),
            *((f"a task a message, {name}", found) for name, found in self.today.items()),
            ("over an empty ledger", self.empty),
            ("over a full ledger", self.grown),
            *(
                (f"{count} worker process{'es' * (count > 1)}", found)
                for count, found in sorted(self.by_processes.items())
            ),
        ]
        return [(name, found) for name, found in ways if found]

    def chart(self) -> str:
        """An SVG of the rates that matter, drawn to one scale."""
        found = [
            ("The floor: a bare script", _median(self.floor), "#8a94a6"),
            ("This worker, end to end", _median(self.end_to_end), "#1f6feb"),
            *((f"A task a message, {name}", _median(rates), "#d1732c") for name, rates in self.today.items()),
        ]
        bars = [(name, rate, colour) for name, rate, colour in found if rate]
        most = max((rate for _, rate, _ in bars), default=1.0)
        rows = [_bar(place, bar, most) for place, bar in enumerate(bars)]
        height = 44 + 38 * len(bars)
        size = f'viewBox="0 0 760 {height}" width="760" height="{height}"'
        lines = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">',
            f'<rect width="760" height="{height}" fill="#ffffff"/>',
            f'<text x="16" y="26" font-weight="600" fill="#1c2330">{TITLE}</text>',
            *rows,
            "</svg>",
        )
        return "\n".join(lines) + "\n"


def _bar(place: int, bar: tuple[str, float, str], most: float) -> str:
    name, rate, colour = bar
    top, width = 42 + 38 * place, max(2.0, 430 * rate / most)
    return (
        f'<text x="16" y="{top + 19}" fill="#1c2330">{escape(name)}</text>'
        f'<rect x="236" y="{top}" width="{width:.0f}" height="28" rx="3" fill="{colour}"/>'
        f'<text x="{244 + width:.0f}" y="{top + 19}" fill="#1c2330">{rate:,.0f}</text>'
    )


def _share(found: Sequence[LookUp]) -> float | None:
    """Of a claim, with a list as long as most have."""
    return next((one.share for one in found if one.length == USUAL), None)


def _median(found: Sequence[float]) -> float | None:
    return statistics.median(found) if found else None


def _ratio(ones: Sequence[float], others: Sequence[float]) -> float | None:
    """The median of the rounds' own: what one round had in common with itself is out of it."""
    found = _median([one / other for one, other in zip(ones, others, strict=False)])
    return round(found, 3) if found else None


def _rounded(value: float | None, places: int = 0) -> float | None:
    return value if value is None else round(value, places) if places else round(value)


def _spread(found: Sequence[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in sorted(found))
