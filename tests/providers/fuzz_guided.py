"""One reader under atheris. Started by `tests.providers.fuzz`: the engine ends the process it runs in.

Arguments: the provider, the reader, and what is the engine's own.
"""

import sys
from random import Random

import atheris  # type: ignore[import-untyped]  # in no list of dependencies: see fuzz

with atheris.instrument_imports(include=["bulk_dispatch.providers", "json"]):
    from tests.providers.fuzz import KEPT
    from tests.providers.mutate import mutated
    from tests.providers.seeds import target


def main() -> None:
    """Feed the reader for ever, or as long as the engine was told to."""
    provider, reader = sys.argv[1:3]
    fed = target(provider, reader)
    failures = 0

    def feed(body: bytes) -> None:
        nonlocal failures
        try:
            fed.feed(body)
        except Exception as problem:
            failures += 1
            if failures <= KEPT:
                sys.stderr.write(f"{fed.keep(body)}: {type(problem).__name__}: {problem}\n")

    def mutate(body: bytes, most: int, seed: int) -> bytes:
        chance = Random(seed)
        if not chance.randrange(4):
            return bytes(atheris.Mutate(body, most))
        return mutated(chance, [body, body, body, fed.question.good])[:most]

    atheris.Setup([sys.argv[0], *sys.argv[3:]], feed, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
