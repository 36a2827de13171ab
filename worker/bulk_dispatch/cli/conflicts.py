"""`worker conflicts`: what was not sent, because its client id stood for something else."""

from dataclasses import asdict
from typing import Annotated

import typer

from bulk_dispatch.cli.arguments import producer_name
from bulk_dispatch.cli.context import migrated_ledger, servers
from bulk_dispatch.cli.output import Json, WholeHelp, emit, out, table
from bulk_dispatch.domain.validation import client_id_of
from bulk_dispatch.ledger.conflicts import ConflictList, latest_conflicts, take_for_seen

SHOWN = 50  # listed, unless --limit says otherwise

app = typer.Typer(
    help="Messages that were not sent: their client ids had been used before, with other content.",
    no_args_is_help=True,
    cls=WholeHelp,
)


@app.callback()
def _conflicts() -> None:
    """Keep `list` a word of its own: one command alone would be the whole."""


@app.command("list")
def list_conflicts(
    producer: Annotated[
        str | None,
        typer.Option(
            callback=producer_name,
            help='Those of this producer; "" for those without one.',
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to list; 0 for all.")] = SHOWN,
    seen: Annotated[
        bool, typer.Option("--seen", help="Take those listed for seen: worker doctor tells of them no more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List them, newest first, with the fields that differ; never what was in them.

    What was sent under such an id is told by `worker status`. To send the other content too, give it an id of
    its own.
    """
    with servers() as settings, migrated_ledger(settings) as ledger:
        with ledger.snapshot() as connection:
            found = latest_conflicts(connection, client_id_of(producer), limit or None)
        if as_json:
            emit({"total": found.total, "conflicts": [asdict(one) for one in found.latest]})
        else:
            _show(found)
        if seen:
            with ledger.begin() as connection:
                take_for_seen(connection, found.rows)


def _show(found: ConflictList) -> None:
    if not found.total:
        out.print("There are no conflicts.")
        return
    rows = [
        (one.client_id, one.producer, f"{one.at:%Y-%m-%d %H:%M:%S}", ", ".join(one.fields))
        for one in found.latest
    ]
    table("Not sent, the latest first", ("client id", "producer", "at (UTC)", "differs in"), rows)
    if more := found.total - len(rows):
        out.print(f"and {more:,} more; --limit 0 lists all", style="dim")
