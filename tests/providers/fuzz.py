"""Fuzz every reader of every provider: `python -m tests.providers.fuzz --inputs 1000000 --seconds 900`.

With atheris installed (`pip install atheris`; it has no wheel for every machine, so nothing here depends on
it) mutations are guided by coverage; else chance alone leads them. An input that makes a reader
raise or break a rule is kept in seeds/, where test_every_provider replays it; with `--keep` so are a few that
reached most of the reader's lines. Prints a table, ends with one JSON line, and exits with 1 if anything
failed.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from subprocess import PIPE, STDOUT, run
from typing import NamedTuple

from tests.providers.bodies import SPLINTERS
from tests.providers.mutate import LONGEST, mutated
from tests.providers.reach import telling
from tests.providers.seeds import Target, targets

KEPT = 3  # failing inputs of one reader: more teach nothing
TELLING = 25  # inputs of one reader that are kept for what they reach


class Ran(NamedTuple):
    """What came of one reader."""

    inputs: int
    failures: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, report, and say whether all went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of all readers together")
    parser.add_argument("--seconds", type=float, default=600, help="time for all readers together")
    parser.add_argument("--provider", action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of chance")
    parser.add_argument("--keep", action="store_true", help="keep what reaches most (guided runs only)")
    parser.add_argument("--unguided", action="store_true", help="random mutations even with atheris there")
    given = parser.parse_args(arguments)

    chosen = targets(given.provider) if given.provider else targets()
    engine = "unresolvable" if given.unresolvable or find_spec("atheris") is None else "atheris"
    fuzz = unresolvable if engine == "unresolvable" else _keeping if given.keep else _guided
    results: dict[str, Ran] = {}
    for target in chosen:
        ran = fuzz(target, -(-given.inputs // len(chosen)), given.seconds / len(chosen), given.seed)
        results[str(target)] = ran
        _say(f"{target!s:32} {ran.inputs:>9} inputs {ran.seconds:>7.1f} s {ran.failures:>3} failures")
    total = {name: sum(getattr(ran, name) for ran in results.values()) for name in ("inputs", "failures")}
    _say(json.dumps({"engine": engine, "readers": len(results), **total}))
    return 1 if total["failures"] else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- guided by coverage ------------------------------------------------------------------------------


def _guided(target: Target, inputs: int, seconds: float, seed: int) -> Ran:
    with tempfile.TemporaryDirectory() as room:
        return _grow(target, (inputs, seconds, seed), Path(room))


def _keeping(target: Target, inputs: int, seconds: float, seed: int) -> Ran:
    """The same, and the inputs that reach most are kept."""
    with tempfile.TemporaryDirectory() as room:
        ran = _grow(target, (inputs, seconds, seed), Path(room))
        grown = [path.read_bytes() for path in Path(room, "grown").iterdir()]
    for body in telling(target, sorted(grown, key=lambda body: (len(body), body)), TELLING):
        target.keep(body)
    return ran


def _grow(target: Target, bounds: tuple[int, float, int], room: Path) -> Ran:
    """In a process of its own: the engine ends the one it runs in."""
    kept = set(target.kept())
    began = time.monotonic()
    words, grown = room / "words", room / "grown"
    words.write_text("".join(f'"{_escaped(splinter)}"\n' for splinter in SPLINTERS if splinter))
    grown.mkdir()
    (grown / "good").write_bytes(target.question.good)
    inputs, seconds, seed = bounds
    engine = [
        f"-runs={inputs}",
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={seed}",
        f"-dict={words}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={room}/",
        "-timeout=30",
        str(grown),
        *([str(target.folder)] if kept else []),
    ]
    command = [sys.executable, "-m", "tests.providers.fuzz_guided", target.provider, target.reader, *engine]
    said = run(command, stdout=PIPE, stderr=STDOUT, text=True, errors="replace", check=False)
    done = re.search(r"Done (\d+) runs", said.stdout)
    if not done:
        sys.stderr.write(said.stdout[-4000:])
        return Ran(0, 1, time.monotonic() - began)
    return Ran(int(done.group(1)), len(set(target.kept()) - kept), time.monotonic() - began)


def _escaped(word: bytes) -> str:
    """As the engine's dictionaries write bytes."""
    return "".join(f"\\x{byte:02x}" for byte in word)


# --- by chance ---------------------------------------------------------------------------------------


def unresolvable(target: Target, inputs: int, seconds: float, seed: int) -> Ran:
    """As far as chance leads; stops early once it has found enough."""
    chance = Random(f"{seed} {target}")
    whole = [target.question.good, *(path.read_bytes() for path in target.kept())]
    began = time.monotonic()
    failures = count = 0
    while count < inputs and time.monotonic() - began < seconds and failures < KEPT:
        count += 1
        body = mutated(chance, whole)
        try:
            target.feed(body)
        except Exception as problem:
            failures += 1
            sys.stderr.write(f"{target.keep(body)}: {type(problem).__name__}: {problem}\n")
    return Ran(count, failures, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
