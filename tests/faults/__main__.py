"""`make faults`: every fault we must survive, injected for real; see tests/faults/cases.

python -m tests.faults                     everything
python -m tests.faults --only redis_killed one case, or several: --only a --only b
python -m tests.faults --like redis        those whose name holds that word
python -m tests.faults --list              their names
python -m tests.faults --seed 7            the order of the cases, and the victims of the random phase
"""

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from tests.faults import chaos, matrix, report
from tests.faults.cases import CASES
from tests.faults.matrix import Result

SEED = 1
MESSAGES = 200_000
KILLS = 300


def main() -> int:
    """0 if every promise was kept in every case, else 1."""
    options = _options()
    if options.list:
        print("\n".join([*CASES, chaos.NAME]))  # noqa: T201
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # and the servers end too
    started = time.monotonic()
    options.folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with (options.folder / "faults.log").open("w", encoding="utf-8") as log:
        results = _play(options, console, lambda line: print(line, file=log, flush=True))
    Console(width=140 if not sys.stdout.isatty() else None).print(report.table(results))
    (options.folder / "faults.md").write_text(report.markdown(results), "utf-8")
    for result in results:
        if not result.good:
            console.print(f"alone: make faults ONLY={result.name} SEED={options.seed}", style="red")
    print(report.summary(results, seed=options.seed, seconds=round(time.monotonic() - started)))  # noqa: T201
    return 0 if all(result.good for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="The fault matrix.")
    parser.add_argument("--only", action="append", choices=[*CASES, chaos.NAME], metavar="CASE", default=[])
    parser.add_argument("--like", action="append", metavar="WORD", default=[], help="by a part of their name")
    parser.add_argument("--list", action="store_true", help="the names of the cases")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of this run (default: {SEED})")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="of the random phase")
    parser.add_argument("--kills", type=int, default=KILLS, help="of the random phase")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".worker"),
        help="for servers, faults.log (what all said) and faults.md (the table)",
    )
    options = parser.parse_args()
    if min(options.messages, options.kills) < 1:
        parser.error("--messages and --kills must be at least 1")
    return options


def _play(options: argparse.Namespace, console: Console, log: Callable[[str], None]) -> list[Result]:
    """The cases asked for, in the order of the seed; the random phase last."""
    alike = [name for name in CASES if any(word in name for word in options.like)]
    names = options.only + alike or [*CASES, chaos.NAME]
    cases = [CASES[name] for name in names if name in CASES]
    random.Random(options.seed).shuffle(cases)
    results = []
    with console.status("starting") as status:
        for result in matrix.run(cases, options.folder, log, status.update):
            report.tell(console, result)
            results.append(result)
        if chaos.NAME in names:
            result = chaos.play(
                options.folder, options.seed, options.messages, options.kills, log, status.update
            )
            report.tell(console, result)
            results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main())
