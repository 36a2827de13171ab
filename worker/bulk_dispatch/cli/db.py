"""`worker db`: the ledger's schema."""

from dataclasses import asdict
from typing import Annotated

import typer

from bulk_dispatch.cli.context import opened_ledger, servers
from bulk_dispatch.cli.output import Json, WholeHelp, complain, emit, out, say
from bulk_dispatch.ledger.migrate import Forecast, behind, forecast, upgraded

app = typer.Typer(help="The ledger's schema.", no_args_is_help=True, cls=WholeHelp)


@app.command()
def upgrade(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what it will take, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to the schema this version expects, after telling how long that takes and how much
    room it needs. Safe to run twice, by two at once, and to break off: then nothing has changed."""
    with servers() as settings, opened_ledger(settings) as ledger:
        coming = forecast(ledger)
        if coming:
            say(f"Upgrade {coming}.")
        if dry_run:
            _tell_plan(*behind(ledger), coming, as_json=as_json)
            return
        lacks = ledger.lacks()
        before, _ = behind(ledger)
        done = upgraded(ledger)
    for sentence in done.told:
        say(sentence)
    if lacks:
        complain(lacks)
    if as_json:
        emit({"before": before, "now": done.now, "told": done.told})
    else:
        out.print(f"The database stands at {done.now}" + (", as before." if before == done.now else "."))


def _tell_plan(there: str, expected: str, coming: Forecast | None, *, as_json: bool) -> None:
    if as_json:
        plan = asdict(coming) if coming else {}
        emit({"before": there, "after": expected, **plan})
    else:
        stands = f"stands at {there}" if there else "is new"
        out.print(f"The database {stands}; {expected} is expected. Nothing was changed.")


@app.callback()
def _group() -> None:
    """Keeps `upgrade` a subcommand while it is the only one."""
