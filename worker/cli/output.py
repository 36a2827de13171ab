"""What people and programs see: tables on stdout, one JSON object with --json, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

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


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout. Columns whose head starts with # are numbers; those with nothing in them are left
    out. The first column, what a row is about, is never cut up."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None)
    filled = [place for place, _ in enumerate(heads) if not cells or any(row[place] for row in cells)]
    for place in filled:
        side: JustifyMethod = "right" if heads[place].startswith("#") else "left"
        head = heads[place].removeprefix("#")
        grid.add_column(head, justify=side, overflow="fold", no_wrap=place == 0)  # half an id is none
    for row in cells:
        grid.add_row(*(Text(row[place]) for place in filled))  # as it is: "[x]" is no style
    out.print(grid)


def money(amount: Decimal) -> str:
    """An amount as people write it: in cents, or finer if it is."""
    plain = amount.normalize()
    cents = Decimal("0.01")
    return f"{plain.quantize(cents) if plain == round(plain, 2) else plain:f}"


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
