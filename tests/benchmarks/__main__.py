"""How fast it is, beside what could be and what people do today: python -m tests.benchmarks

Everything on one machine, over real servers and the sandbox, phase by phase, each on an installation of its
own. Ratios within one run are what matters; the machine is not. Tables on stdout, progress on stderr, a chart
if wanted, and at the end one JSON line.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import floor, latency, parts, receipts, stop_list, today, whole, whole_ledger
from tests.benchmarks.builds import ROOT, checkout, commit
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.filled_ledger import fill
from tests.benchmarks.installation import AS_SHIPPED, installation, write_campaign
from tests.benchmarks.report import Report

PROCESSES = (1, 2, 4)
GROWN = 2  # runs over the full ledger
MILLION = 1_000_000
CAMPAIGN = 300_000  # messages
COMPARED = 100_000  # by each of two builds
HELD = 200_000  # while a snapshot is held, and while none is
MOST = 20_000_000  # of anything


class Bench:
    """One run of phases."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder = folder
        self.given = given
        self.report = Report()

    @property
    def messages(self) -> int:
        """Of a campaign of the usual phases."""
        return self.given.messages or CAMPAIGN

    def rates(self) -> None:
        """End to end, the floor, and a task a message, by turns."""
        for number in range(1, self.given.rounds + 1):
            run = self._whole(self.messages, f"end to end, round {number}")
            self.report.end_to_end.append(run.per_second)
            self.report.ledger_mb_per_million = run.ledger_mb_per_million
            self.report.floor.append(self._floor(number, self.messages, roomy=False))
            self.report.roomy_floor.append(self._floor(number, self.messages, roomy=True))
            for way in today.ENGINES:
                self.report.today.setdefault(way.name, []).append(self._today(way, number))

    def latency(self) -> None:
        """Urgent messages."""
        with installation(self.folder) as place, latency.probing(place) as prober:
            self.report.idle = prober.idle(self.given.probes)
            _say(f"urgent, idle: p50 {self.report.idle.p50:.1f} ms, p99 {self.report.idle.p99:.1f} ms")
            self.report.beside = prober.beside(self.messages)
            _say(f"urgent, beside a campaign: p99 {self.report.beside.p99:.1f} ms")

    def processes(self) -> None:
        """With fewer worker processes, and with more."""
        for count in PROCESSES:
            run = self._whole(self.messages, f"{count} worker processes", count)
            self.report.by_processes.setdefault(count, []).append(run.per_second)

    def growth(self) -> None:
        """Over a ledger that holds many messages already, and over an empty one."""
        with installation(self.folder) as place:
            began = time.monotonic()
            fill(place, self.given.old)
            _say(f"a ledger of {self.given.old:,} messages, in {time.monotonic() - began:.0f} s")
            for number in range(GROWN):
                count = self.messages
                run = whole.run(place, count, _progress("over a full ledger", count), number=number)
                _say(f"over a full ledger: {run.per_second:,.0f} a second")
                self.report.grown.append(run.per_second)
                self.report.see_rss(run.rss_mb)
                self.report.empty.append(self._whole(count, "over an empty ledger").per_second)

    def million(self) -> None:
        """A million rows, to the last end."""
        self.report.million_s = self._whole(MILLION, "a million rows").seconds

    def parts(self) -> None:
        """Each part of the way alone."""
        with installation(self.folder) as place:
            self.report.parts, self.report.redis_mb_per_million = parts.measure(place, self.given.parts)
        with installation(self.folder) as place:
            self.report.look_ups = stop_list.measure(place)
        for found in receipts.measure(self.folder, receipts.RECEIPTS):
            _say(f"receipts, {found.case}: {found.per_second:,} a second")
            self.report.parts.append(parts.of_receipts(found))

    def against(self) -> None:
        """Beside the build of another commit, by turns; the bare script and a held snapshot; urgent ones."""
        found = self.report.comparison = Comparison(self.given.against)
        count, held = self.given.messages or COMPARED, self.given.messages or HELD
        with checkout(self.given.against, self.folder) as theirs:
            for number in range(1, self.given.rounds + 1):
                turns = [(ROOT, "this build", found.ours), (theirs, found.against, found.theirs)]
                for build, name, runs in turns if number % 2 else reversed(turns):
                    runs.append(self._run(build, count, f"{name}, round {number}"))
                self.report.see_rss(found.ours[-1].rss_mb)
                found.roomy_floor.append(self._floor(number, count, roomy=True))
                found.clean.append(self._run(ROOT, held, f"no snapshot held, round {number}").per_second)
                found.held.append(self._held(held, f"a snapshot held, round {number}").per_second)
        with installation(self.folder) as place, latency.probing(place) as prober:
            self.report.beside = prober.beside(count)
        _say(f"urgent, beside a campaign: p99 {self.report.beside.p99:.1f} ms")

    def books(self) -> None:
        """The books, and the history of a message, over a ledger that holds many."""
        with installation(self.folder) as place:
            _say(f"filling a ledger with {self.given.filled:,} messages")
            self.report.whole_ledger = whole_ledger.measure(place, self.given.filled)

    def _run(self, build: Path, count: int, name: str) -> whole.Run:
        with installation(self.folder, build) as place:
            run = whole.run(place, count, _progress(name, count))
        _say(f"{name}: {run.per_second:,.0f} a second, {run.cpu_us:.0f} µs a message")
        return run

    def _held(self, count: int, name: str) -> whole.Run:
        with installation(self.folder) as place:
            place.migrate()
            with whole.held_snapshot(place):
                run = whole.run(place, count, _progress(name, count))
        _say(f"{name}: {run.per_second:,.0f} a second")
        return run

    def _whole(self, count: int, name: str, processes: int = AS_SHIPPED) -> whole.Run:
        with installation(self.folder) as place:
            run = whole.run(place, count, _progress(name, count), processes)
        _say(f"{name}: {run.per_second:,.0f} a second")
        if processes == AS_SHIPPED:
            self.report.see_rss(run.rss_mb)
        return run

    def _floor(self, number: int, count: int, *, roomy: bool) -> float:
        with installation(self.folder) as place:
            file = write_campaign(place.folder / "floor.csv", count)
            seconds = floor.run(place, file, count, roomy=roomy)
        name = "the floor with half-filled pages" if roomy else "the floor"
        _say(f"{name}, round {number}: {count / seconds:,.0f} a second")
        return count / seconds

    def _today(self, way: today.Way, number: int) -> float:
        with installation(self.folder) as place:
            count: int = self.given.today
            seconds = today.run(place, way, write_campaign(place.folder / "today.csv", count), count)
        _say(f"a task a message with {way.name}, round {number}: {count / seconds:,.0f} a second")
        return count / seconds


USUAL: tuple[Callable[[Bench], None], ...] = (
    Bench.rates,
    Bench.latency,
    Bench.processes,
    Bench.million,
    Bench.growth,
    Bench.parts,
)
PHASES = (*USUAL, Bench.books, Bench.against)
"""The last ones run only where they are named."""


def main() -> None:
    """Measure, and tell."""
    given = _options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # and the servers end too
    with tempfile.TemporaryDirectory(prefix="worker-bench-", ignore_cleanup_errors=True) as path:
        bench = Bench(Path(path), given)
        try:
            for phase in PHASES:
                if phase.__name__ in given.only:
                    phase(bench)
        finally:
            _tell(bench.report, given.chart)


def _options() -> argparse.Namespace:
    names = [phase.__name__ for phase in PHASES]
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    options.add_argument("--only", action="append", choices=names, help="this phase alone; repeatable")
    options.add_argument("--messages", type=_count, help="of a campaign; each phase has a default of its own")
    options.add_argument("--rounds", type=_count, default=3, help="of the rates that are compared")
    options.add_argument("--today", type=_count, default=6_000, help="messages of a task each")
    options.add_argument("--old", type=_count, default=10_000_000, help="messages of the full ledger")
    options.add_argument("--filled", type=_count, default=MILLION, help="messages that the books count")
    options.add_argument("--probes", type=_count, default=400, help="urgent messages with nothing else to do")
    options.add_argument("--parts", type=_count, default=50_000, help="messages of the parts")
    options.add_argument("--against", type=commit, help="a commit whose build is run by turns with this one")
    options.add_argument("--chart", type=Path, help="write an SVG here")
    given = options.parse_args()
    usual = ["against"] if given.against else [phase.__name__ for phase in USUAL]
    given.only = given.only or usual
    if ("against" in given.only) != bool(given.against):
        options.error("the phase against and a commit for --against go together")
    return given


def _count(given: str) -> int:
    """A number of things that has an end."""
    count = int(given)
    if not 1 <= count <= MOST:
        raise argparse.ArgumentTypeError(f"from 1 to {MOST:,}, got {count:,}")
    return count


def _tell(report: Report, chart: Path | None) -> None:
    """What there is, also where a phase has failed."""
    if chart and report.end_to_end and report.floor:
        chart.write_text(report.chart(), "utf-8")
    sys.stdout.write(f"{report.tables()}\n\n{json.dumps(report.figures())}\n")


def _say(line: str) -> None:
    sys.stderr.write(f"\r\033[K{line}\n" if sys.stderr.isatty() else f"{line}\n")


def _progress(name: str, count: int) -> Callable[[int], None]:
    def tell(ended: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{name}: {ended:,} of {count:,}")

    return tell


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
