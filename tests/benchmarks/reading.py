"""What it takes to read rows and to check them, in this build; and by turns in another, if one is named.

Everything up to a message that may be handed over, its segments counted: where the route's limits are looked
at and what stands in the ledger. Each measurement is a process of its own.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("reading_probe.py")
ROUNDS = 7
MESSAGES = 10_000  # of each case, a round
ROUTES = """
[routes.bench]
provider = "alphasms-xml"
url = "http://127.0.0.1:1"
key = "a-key-of-some-length"
"""
CYRILLIC = "Ваше замовлення готове, і ми тримаємо його для вас цілий тиждень. "


class Case(NamedTuple):
    """Texts of one kind, each another."""

    name: str
    text: Callable[[int], str]


CASES: Mapping[str, Case] = {
    "latin": Case("Latin, 36 characters", lambda n: f"Your order {n:07d} is ready. See you!"),
    "latin_long": Case("Latin, 201", lambda n: f"{n:07d} {'Your order is ready, see you. ' * 7}"[:201]),
    "cyrillic_short": Case("Cyrillic, 66", lambda n: f"{CYRILLIC[:58]} {n:07d}"),
    "cyrillic": Case("Cyrillic, 201", lambda n: f"{CYRILLIC * 3}"[:193] + f" {n:07d}"),
}
"""By the name that the line for machines has."""


class Cost(NamedTuple):
    """Microseconds of processor time a message: all of it, and of that to make a message from a row."""

    whole: float
    made: float


@dataclass
class Reading:
    """What was found, a value a round, by case. `against` is empty if there was no other build."""

    against: str = ""
    ours: dict[str, list[Cost]] = field(default_factory=dict)
    theirs: dict[str, list[Cost]] = field(default_factory=dict)

    def ratio(self, case: str) -> float | None:
        """Ours to theirs, of the least each took; None if there was no other build."""
        if case not in self.theirs:
            return None
        return round(_least(self.ours[case]).whole / _least(self.theirs[case]).whole, 3)

    def table(self) -> Sequence[str]:
        """Markdown."""
        other = [f"at {self.against}", "ratio"] if self.against else []
        heading = ["read rows, check: µs a message", "all", "a message made", *other]
        return [
            _row(heading),
            "|---|" + "---:|" * (len(heading) - 1),
            *(_row([CASES[case].name, *self._figures(case)]) for case in self.ours),
        ]

    def _figures(self, case: str) -> list[str]:
        ours = [f"{part:.1f}" for part in _least(self.ours[case])]
        if not self.against:
            return ours
        return [*ours, f"{_least(self.theirs[case]).whole:.1f}", f"{self.ratio(case)}"]


def measure(against: str = "") -> Reading:
    """Every case, round by round; the other build after this one in each."""
    reading = Reading(against)
    with tempfile.TemporaryDirectory(prefix="worker-reading-") as path:
        folder = Path(path)
        (folder / "routes.toml").write_text(ROUTES, "utf-8")
        for name, case in CASES.items():
            _write(folder / f"{name}.csv", case)
        builds = [(ROOT, reading.ours)]
        if against:
            builds.append((_build_of(against, folder / "build"), reading.theirs))
        for _ in range(ROUNDS):
            for build, found in builds:
                for name, cost in _probed(build, folder).items():
                    found.setdefault(name, []).append(cost)
    return reading


def commit(ref: str) -> str:
    """The ref, if git knows a commit by it; as an argument of a command."""
    asked = ("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode:
        raise argparse.ArgumentTypeError(f"git knows no commit {ref}")
    return ref


def _write(path: Path, case: Case) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("client_id", "recipient", "sender", "text", "campaign"))
        for number in range(MESSAGES):
            table.writerow((f"spring-{number}", f"+38093{number:07d}", "Shop", case.text(number), "spring"))


def _build_of(ref: str, folder: Path) -> Path:
    """The package as it stood at a commit."""
    command = ("git", "archive", ref, "worker")
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _probed(build: Path, folder: Path) -> dict[str, Cost]:
    command = (sys.executable, "-P", str(PROBE), str(folder), *CASES)
    environment = {**os.environ, "PYTHONPATH": str(build / "worker")}
    told = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    if Path(told["build"]).resolve() != build.resolve():
        raise RuntimeError(f"measured the build in {told['build']} instead of {build}")
    return {name: Cost(**cost) for name, cost in told["found"].items()}


def _least(found: Sequence[Cost]) -> Cost:
    """What it takes where nothing else was in the way: whatever a shared machine does can only add to it."""
    return Cost(*map(min, zip(*found, strict=True)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
