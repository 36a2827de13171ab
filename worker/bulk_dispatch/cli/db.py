"""`worker db`: the ledger's schema."""

import typer

from bulk_dispatch.cli.context import opened_ledger, servers
from bulk_dispatch.cli.output import Json, WholeHelp, complain, emit, out, say
from bulk_dispatch.ledger.migrate import behind, upgraded

app = typer.Typer(help="The ledger's schema.", no_args_is_help=True, cls=WholeHelp)


@app.command()
def upgrade(as_json: Json = False) -> None:
    """Bring the database to the schema this version expects. Safe to run twice, and by two at once."""
    with servers() as settings, opened_ledger(settings) as ledger:
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


@app.callback()
def _group() -> None:
    """Keeps `upgrade` a subcommand while it is the only one."""
