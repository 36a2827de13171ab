"""What people and programs see: tables on stdout, one JSON object with --json, everything else on stderr."""

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def emit(value: dict[str, Any]) -> None:
    """The one JSON object of a command, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def complain(sentence: str) -> None:
    """A sentence on stderr."""
    err.print(f"worker: {sentence}", style="red", markup=False, soft_wrap=True)


def say(sentence: str) -> None:
    """A remark on stderr, out of the way of what programs read."""
    err.print(sentence, style="dim", markup=False, soft_wrap=True)


GAP = 2  # blanks between columns, and before the lines of a block
PROSE_LEAST = 20  # columns that words need to be read

Row: TypeAlias = Sequence[str]


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout, as wide as the terminal at most. Columns whose head starts with # are numbers; those
    with nothing in them are left out.

    No word and no number is cut up: where a row does not fit, its last column is set in lines, if that is
    enough; else each row is a block of its own, with a line for each value.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    filled = [place for place, _ in enumerate(heads) if not cells or any(row[place] for row in cells)]
    heads, cells = [heads[place] for place in filled], [[row[place] for place in filled] for row in cells]
    room = _room(heads, cells)
    if room is None:
        _blocks(title, [head.removeprefix("#") for head in heads], cells)
    else:
        _grid(title, heads, cells, room)


def _room(heads: Row, cells: Sequence[Row]) -> int | None:
    """How wide the last column may be; None if there is no room for the table."""
    widths = [max(map(cell_len, column)) for column in zip(map(_name, heads), *cells, strict=True)]
    left = out.width - sum(widths[:-1]) - GAP * (len(widths) - 1)
    words = [word for row in cells for word in row[-1].split()]
    least = max(map(cell_len, (*words, _name(heads[-1]))), default=0)
    enough = left >= widths[-1] or (left >= max(least, PROSE_LEAST) and not heads[-1].startswith("#"))
    return min(left, widths[-1]) if enough else None


def _name(head: str) -> str:
    return head.removeprefix("#")


def _grid(title: str, heads: Row, cells: Sequence[Row], room: int) -> None:
    grid = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        padding=(0, GAP, 0, 0),
        pad_edge=False,
    )
    for place, head in enumerate(heads):
        side: JustifyMethod = "right" if head.startswith("#") else "left"
        last = place == len(heads) - 1
        grid.add_column(_name(head), justify=side, no_wrap=not last, width=room if last else None)
    for row in cells:
        grid.add_row(*map(Text, row))  # as it is: "[x]" is no style
    out.print(grid, soft_wrap=False)


def _blocks(title: str, heads: Row, cells: Sequence[Row]) -> None:
    """What a row is about, and under it what there is to say."""
    if title:
        out.print(title, style="bold", markup=False)
    wide = max(map(cell_len, heads[1:]))
    for row in cells:
        out.print(row[0], style="bold", markup=False, soft_wrap=True)
        for head, value in zip(heads[1:], row[1:], strict=True):
            if value:
                flow(f"{' ' * GAP}{head:<{wide}}{' ' * GAP}", value)


def flow(before: str, words: str, style: str = "") -> None:
    """Words on stdout, set in lines that stand under each other behind what comes `before`."""
    room = max(out.width - cell_len(before), PROSE_LEAST)
    lines = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]
    for line in lines:
        out.print(f"{before}{line}".rstrip(), style=style, markup=False, soft_wrap=True)
        before = " " * cell_len(before)


class WholeHelp(TyperGroup):
    """A group of commands that tells the first sentence about each whole: by itself it is cut to a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See click."""
        named = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, command.get_short_help_str(limit=10_000)) for name, command in named if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def progress() -> Progress:
    """A bar on stderr; silent where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )


def many(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
