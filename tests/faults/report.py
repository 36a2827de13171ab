"""How the matrix is shown: a row a case for people, one JSON line at the end for programs."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.matrix import Result

HEADS = ("fault", "messages", "kills", "lost", "twice", "in doubt", "unlisted", "books", "flows", "settled")


def table(results: Sequence[Result]) -> Table:
    """The whole matrix."""
    shown = Table(title="What went wrong, and what came of it", caption=CAPTION)
    for head in HEADS:
        shown.add_column(head, justify="left" if head in ("fault", "books") else "right")
    for result in results:
        shown.add_row(*cells(result), style="" if result.good else "bold red")
    return shown


CAPTION = (
    "flows: seconds from the end of the fault until new messages in both lanes of every route had their end; "
    "settled: until the last old one had"
)


def cells(result: Result) -> tuple[str, ...]:
    """One row, in the order of HEADS."""
    tally = result.tally
    return (
        result.name.replace("_", " "),
        f"{tally.messages:,}",
        f"{result.kills:,}",
        f"{len(tally.lost):,}",
        f"{len(tally.twice):,}",
        f"{len(tally.doubtful):,}",
        f"{len(tally.unlisted):,}",
        "unbalanced" if tally.unbalanced or tally.denied else "balanced",
        f"{result.flows:.1f} s",
        f"{result.settled:.1f} s",
    )


def markdown(results: Sequence[Result]) -> str:
    """The same as a table for a page, sorted by name."""
    rows = [HEADS, ("---", *["--:"] * (len(HEADS) - 1))]
    rows += [cells(result) for result in sorted(results, key=lambda result: result.name)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def tell(console: Console, result: Result) -> None:
    """One line as soon as it is known, and what is wrong with it."""
    mark = "[green]✓[/]" if result.good else "[bold red]✗[/]"
    tally = result.tally
    console.print(
        f"{mark} {result.name.replace('_', ' '):<52} {tally.messages:>7,} messages {result.kills:>4} kills "
        f"flows {result.flows:>4.1f} s, settled {result.settled:>5.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    for complaint in result.complaints():
        console.print(f"    {complaint}", style="red", markup=False, highlight=False, soft_wrap=True)


def summary(results: Sequence[Result], **about: Any) -> str:
    """The last line: sums over all cases."""
    tallies = [result.tally for result in results]
    return json.dumps(
        {
            "cases": len(results),
            "messages": sum(tally.messages for tally in tallies),
            "kills": sum(result.kills for result in results),
            "lost": sum(len(tally.lost) for tally in tallies),
            "sent_twice": sum(len(tally.twice) for tally in tallies),
            "unbalanced": sum(len(tally.unbalanced) + len(tally.denied) for tally in tallies),
            "unlisted_doubt": sum(len(tally.unlisted) for tally in tallies),
            "failed": [result.name for result in results if not result.good],
            **about,
        }
    )
