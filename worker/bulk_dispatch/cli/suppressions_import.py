"""`worker suppressions import`: the numbers of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bulk_dispatch.campaign.heading import shown
from bulk_dispatch.campaign.source import UnreadableError, lines_of, opened
from bulk_dispatch.cli.arguments import remark
from bulk_dispatch.cli.context import opened_runtime, servers
from bulk_dispatch.cli.output import Json, complain, progress, say
from bulk_dispatch.cli.suppressions_file import RefusedEntry, entries
from bulk_dispatch.cli.suppressions_withdraw import Region, number, tell, withdraw
from bulk_dispatch.ledger.suppressions import Listed, put
from bulk_dispatch.runtime import Runtime

Rows: TypeAlias = Iterator[Listed | RefusedEntry]

NAMED = 10  # refused lines named on stderr
STEP = 5000  # lines of a file in one transaction


def import_file(
    file: Annotated[
        str,
        typer.Argument(
            help="CSV headed recipient, with reason and added_at if known; or numbers; - for stdin."
        ),
    ],
    reason: Annotated[
        str,
        typer.Option("--reason", help="The reason, where a line has none. Default: the name of the file."),
    ] = "",
    region: Region = "",
    as_json: Json = False,
) -> None:
    """Put the numbers of a file on the list; then as with `add`, for the whole list.

    The file is CSV with a heading, or one number a line. Lines that name no number are told and left out, and
    the exit code is 1. Who is on the list already keeps date and reason. It works in small steps: interrupt
    it, say it again, and it goes on.
    """
    reason = remark(
        "--reason", reason or ("imported" if file == "-" else f"imported from {Path(file).name}"), 200
    )
    with servers() as settings, opened_runtime(settings) as runtime:
        left_out: list[str] = []
        done = _put(
            runtime,
            file,
            lambda lines: entries(lines, lambda it: number(it, region), reason, left_out.extend),
        )
        tally = withdraw(runtime)
    if left_out:
        say(f"columns left out: {', '.join(map(shown, left_out))}")
    for error in done.errors:
        complain(error)
    if done.refused > NAMED:
        complain(f"and {done.refused - NAMED:,} lines more")
    values = {
        "read": done.read,
        "added": done.added,
        "known": done.read - done.added,
        "refused": done.refused,
        "left_out": [shown(name) for name in left_out],
        "errors": done.errors,
    }
    sentence = f"{done.read:,} read, {done.added:,} of them not on the list; {done.refused:,} lines refused."
    tell(values, sentence, tally, as_json=as_json)
    if done.errors:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Imported:
    """What came of a file: numbers read, those of them that were not on the list, and lines refused."""

    read: int = 0
    added: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def refuse(self, one: RefusedEntry) -> None:
        """Count a line, and keep the first ones to be told."""
        self.refused += 1
        if self.refused <= NAMED:
            self.errors.append(f"line {one.line}: {one.problem}")


def _put(runtime: Runtime, file: str, read: Callable[[Iterator[str]], Rows]) -> _Imported:
    """Step by step, as far as the file can be read."""
    done = _Imported()
    with progress() as bar:
        task = bar.add_task("read", total=None, rate="")
        try:
            with _lines(file) as lines:
                rows = read(lines)
                while part := list(islice(rows, STEP)):
                    _put_step(runtime, part, done)
                    bar.update(task, completed=done.read)
        except UnreadableError as problem:
            done.errors.append(f"{file}: {problem}")
    return done


def _put_step(runtime: Runtime, part: list[Listed | RefusedEntry], done: _Imported) -> None:
    good = [one for one in part if isinstance(one, Listed)]
    for one in part:
        if isinstance(one, RefusedEntry):
            done.refuse(one)
    if good:
        with runtime.ledger.begin() as connection:
            done.added += put(connection, good)
        done.read += len(good)


@contextmanager
def _lines(name: str) -> Iterator[Iterator[str]]:
    try:
        with opened(name) as stream, lines_of(stream) as (lines, _):
            yield lines
    except OSError as problem:
        raise typer.BadParameter(f"{name}: {problem.strerror}") from None
