"""Fuzz every reader of every provider: `python -m tests.providers.fuzz --inputs 1000000 --seconds 900`.

With atheris installed (`pip install atheris`; it has no wheel for every machine, so nothing here depends on
it) inputs are guided by coverage; else good answers are mutated at random. An input that makes a reader
raise or break a rule is kept in seeds/, where test_every_provider replays it. Prints a table, ends with one
JSON line, and exits with 1 if anything failed.
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
from tests.providers.seeds import Target, targets

LONGEST = 4096  # bytes of an input
KEPT = 3  # failing inputs of one reader: more teach nothing


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
    parser.add_argument("--blind", action="store_true", help="random mutations even with atheris there")
    given = parser.parse_args(arguments)

    chosen = targets(given.provider) if given.provider else targets()
    guided = not given.blind and find_spec("atheris") is not None
    fuzz = _guided if guided else blind
    results: dict[str, Ran] = {}
    for target in chosen:
        ran = fuzz(target, -(-given.inputs // len(chosen)), given.seconds / len(chosen), given.seed)
        results[str(target)] = ran
        _say(f"{target!s:32} {ran.inputs:>9} inputs {ran.seconds:>7.1f} s {ran.failures:>3} failures")
    total = {name: sum(getattr(ran, name) for ran in results.values()) for name in ("inputs", "failures")}
    _say(json.dumps({"engine": "atheris" if guided else "blind", "readers": len(results), **total}))
    return 1 if total["failures"] else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- guided by coverage ------------------------------------------------------------------------------


def _guided(target: Target, inputs: int, seconds: float, seed: int) -> Ran:
    """In a process of its own: the engine ends the one it runs in."""
    kept = set(target.kept())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        words = Path(corpus, "words")
        words.write_text("".join(f'"{_escaped(splinter)}"\n' for splinter in SPLINTERS if splinter))
        grown = Path(corpus, "grown")
        grown.mkdir()
        (grown / "good").write_bytes(target.question.good)
        engine = [
            f"-runs={inputs}",
            f"-max_total_time={max(1, round(seconds))}",
            f"-seed={seed}",
            f"-dict={words}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix={corpus}/",
            "-timeout=30",
            str(grown),
        ]
        if kept:
            engine.append(str(target.folder))
        command = [
            sys.executable,
            "-m",
            "tests.providers.fuzz_guided",
            target.provider,
            target.reader,
            *engine,
        ]
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


def blind(target: Target, inputs: int, seconds: float, seed: int) -> Ran:
    """As far as chance leads; stops early once it has found enough."""
    chance = Random(f"{seed} {target}")
    whole = [target.question.good, *(path.read_bytes() for path in target.kept())]
    began = time.monotonic()
    failures = count = 0
    while count < inputs and time.monotonic() - began < seconds and failures < KEPT:
        count += 1
        body = _mutated(chance, whole)
        try:
            target.feed(body)
        except Exception as problem:
            failures += 1
            sys.stderr.write(f"{target.keep(body)}: {type(problem).__name__}: {problem}\n")
    return Ran(count, failures, time.monotonic() - began)


def _mutated(chance: Random, whole: Sequence[bytes]) -> bytes:
    """One of them, a few times overwritten, cut, repeated, swapped or crossed with another."""
    body = bytearray(chance.choice(whole))
    for _ in range(chance.randint(1, 8)):
        start = chance.randint(0, len(body))
        end = min(len(body), start + chance.randint(0, 40))
        match chance.randrange(7):
            case 0:
                body[start:end] = chance.choice(SPLINTERS)
            case 1:
                body[start:start] = chance.choice(SPLINTERS)
            case 2:
                body[start:end] = chance.randbytes(chance.randint(0, 8))
            case 3:
                del body[start:end]
            case 4:
                body[start:start] = body[start:end] * chance.randint(1, 3)
            case 5:
                other = chance.choice(whole)
                at = chance.randint(0, len(other))
                body[start:end] = other[at : at + chance.randint(0, 80)]
            case _:
                if body:
                    body[start % len(body)] ^= 1 << chance.randrange(8)
    return bytes(body[:LONGEST])


if __name__ == "__main__":
    sys.exit(main())
