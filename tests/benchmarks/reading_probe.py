"""What one build takes to read the rows of a file and to check them: python reading_probe.py FOLDER NAME…

Run by `reading` with a build first on its path, an older one perhaps: so it uses nothing but what both have.
Each NAME.csv of the folder is read to its end, and routes.toml says where its messages go. Prints where
the build lies, and microseconds of processor time a message.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import bulk_dispatch
from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.domain.message import FIELDS, Message
from bulk_dispatch.routing import Route, accept, build_routes

WARM = 2_000  # messages before the clock runs
PASSES = 5  # the least of them counts


def rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file by the names in its heading, as this build reads them."""
    try:
        from bulk_dispatch.campaign.heading import Wanted
        from bulk_dispatch.campaign.rows import Rows
        from bulk_dispatch.campaign.source import lines_of, opened
    except ImportError:  # a build that came before these has its own
        yield from _older(file)
        return
    with opened(str(file)) as stream, lines_of(stream) as (lines, _):
        for row in Rows(lines, Wanted(FIELDS, ("client_id", "recipient"))):
            values = row.values
            assert type(values) is dict  # the others are errors
            yield values


def _older(file: Path) -> Iterator[Mapping[str, Any]]:
    read: Callable[[Iterable[str]], Iterator[tuple[int, Any]]] = vars(
        import_module("bulk_dispatch.cli.send")
    )["_rows"]
    with file.open(encoding="utf-8", newline="") as stream:
        for _, row in read(stream):
            yield row


def checked(found: Iterable[Mapping[str, str]], lines: Mapping[str, Route]) -> Iterator[Message]:
    """Rows as the messages that would be handed over, each of them counted."""
    [route] = lines
    for row in found:
        message = accept(Message.from_dict({"route": route, **row}), lines)
        message.content.segments  # noqa: B018 - what it costs is what we are here for
        yield message


def made(found: Iterable[Mapping[str, str]]) -> Iterator[Message]:
    """Rows as messages, and no more than that."""
    return map(Message.from_dict, found)


def measure(file: Path, lines: Mapping[str, Route]) -> dict[str, float]:
    """Microseconds a message: all of it, and what it takes to make one from a row that is there."""
    _spend(islice(checked(rows(file), lines), WARM))
    there = list(rows(file))
    return {
        "whole": min(_spent(checked(rows(file), lines)) for _ in range(PASSES)),
        "made": min(_spent(made(there)) for _ in range(PASSES)),
    }


def _spent(messages: Iterable[Message]) -> float:
    began = time.process_time()
    count = _spend(messages)
    return (time.process_time() - began) / count * 1e6


def _spend(messages: Iterable[Message]) -> int:
    return sum(1 for _ in messages)


def main() -> None:
    """Measure, and tell."""
    folder, *names = sys.argv[1:]
    lines = build_routes(read_routes(Path(folder, "routes.toml")))
    gc.disable()  # nothing here is freed by it, and it comes by when it likes
    found = {name: measure(Path(folder, f"{name}.csv"), lines) for name in names}
    sys.stdout.write(json.dumps({"build": str(Path(bulk_dispatch.__file__).parents[2]), "found": found}))


if __name__ == "__main__":
    main()
