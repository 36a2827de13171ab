"""This build beside another, by turns: what was found, as a table and as figures."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.benchmarks.whole import Run


class Measure(NamedTuple):
    """Something that every run of both builds has."""

    figure: str  # the name that the line for machines has for ours over theirs
    name: str
    of: Callable[[Run], float]


MEASURES = (
    Measure("end_to_end_ratio", "messages a second", lambda run: run.per_second),
    Measure("cpu_ratio", "processor time, µs a message", lambda run: run.cpu_us),
    Measure("ledger_mb_ratio", "ledger, MB a million", lambda run: run.ledger_mb_per_million),
    Measure("wal_mb_ratio", "write-ahead log, MB a million", lambda run: run.wal_mb_per_million),
    Measure("rss_ratio", "largest process, MB", lambda run: max(run.rss_mb.values())),
)
TOLD = ("end_to_end_ratio", "cpu_ratio", "ledger_mb_ratio", "wal_mb_ratio")
"""Of these, the figures for machines."""


@dataclass
class Comparison:
    """A value a round, like everywhere."""

    against: str
    ours: list[Run] = field(default_factory=list)
    theirs: list[Run] = field(default_factory=list)
    roomy_floor: list[float] = field(default_factory=list)  # messages a second, like the rest
    clean: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)  # beside a session that holds a snapshot

    def figures(self) -> dict[str, float]:
        """For machines; nothing before the first round has ended."""
        if not self.held:
            return {}
        ratios = {measure.figure: statistics.median(self._ratios(measure)) for measure in MEASURES}
        found = {
            **{name: ratios[name] for name in TOLD},
            "cpu_us_per_message": statistics.median(run.cpu_us for run in self.ours),
            "roomy_floor_ratio": statistics.median(self._to_floor()),
            "held_snapshot_ratio": statistics.median(self._held_ratios()),
        }
        return {name: round(value, 1 if name.endswith("message") else 3) for name, value in found.items()}

    def tables(self) -> list[list[str]]:
        """Markdown: medians, and the least and the most of the rounds."""
        if not self.held:
            return []
        both = [
            f"| {one.name} | {_spread(self._of(one, self.ours))} | {_spread(self._of(one, self.theirs))} "
            f"| {_spread(self._ratios(one), 3)} |"
            for one in MEASURES
        ]
        alone = [
            ("to the bare script, with half-filled pages", self._to_floor()),
            ("while a snapshot is held, to without", self._held_ratios()),
        ]
        return [
            [
                f"| median (least to most) | this build | {self.against} | ratio |",
                "|---|---:|---:|---:|",
                *both,
            ],
            ["| messages a second | ratio |", "|---|---:|"]
            + [f"| {name} | {_spread(found, 3)} |" for name, found in alone],
        ]

    def _of(self, measure: Measure, runs: Sequence[Run]) -> list[float]:
        return [measure.of(run) for run in runs]

    def _ratios(self, measure: Measure) -> list[float]:
        """Ours over theirs, round by round: what one round had in common with itself is out of it."""
        return [
            measure.of(one) / measure.of(other) for one, other in zip(self.ours, self.theirs, strict=False)
        ]

    def _to_floor(self) -> list[float]:
        return [run.per_second / floor for run, floor in zip(self.ours, self.roomy_floor, strict=False)]

    def _held_ratios(self) -> list[float]:
        return [held / clean for held, clean in zip(self.held, self.clean, strict=False)]


def _spread(found: Sequence[float], places: int = 0) -> str:
    middle, least, most = (f"{one:,.{places}f}" for one in (statistics.median(found), min(found), max(found)))
    return f"{middle} ({least} to {most})"
