"""`worker stoplist`: numbers that must get nothing."""

from typing import Annotated

import typer

from worker.cli.account import Name, known_line, refuse
from worker.cli.given import remark
from worker.cli.output import Json, emit, out
from worker.cli.session import migrated_ledger, opened_runtime, servers
from worker.ledger.stop_list import suppress, unsuppress
from worker.providers.contract import Failure
from worker.sms.numbers import phone_number
from worker.stages.account import import_stop_list

app = typer.Typer(help="Numbers that must get nothing.", no_args_is_help=True)

Numbers = Annotated[list[str], typer.Argument(help="International numbers.")]


@app.command()
def add(
    numbers: Numbers,
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    as_json: Json = False,
) -> None:
    """Suppress what is enqueued for these numbers from now on."""
    recipients = [phone_number(number) for number in numbers]
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.begin() as connection:
        added = suppress(connection, recipients, why)
    _done("added", added, as_json=as_json)


@app.command()
def remove(numbers: Numbers, as_json: Json = False) -> None:
    """Let these numbers have messages again."""
    recipients = [phone_number(number) for number in numbers]
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.begin() as connection:
        removed = unsuppress(connection, recipients)
    _done("removed", removed, as_json=as_json)


@app.command("import")
def import_list(
    name: Name,
    why: Annotated[
        str, typer.Option(help="The reason, for the record. Default: that it is on their list.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Put the numbers of a provider's own stop list on ours."""
    reason = remark("--why", why or f"on the stop list of route {name}", 200)
    with servers() as settings, opened_runtime(settings) as runtime:
        imported = import_stop_list(runtime, known_line(runtime, name), reason)
    if imported is None:
        raise refuse(name, "its provider keeps no stop list that can be read")
    if isinstance(imported, Failure):
        raise refuse(name, imported)
    if as_json:
        emit({"route": name, "listed": imported.listed, "added": imported.added})
    else:
        out.print(f"{imported.listed:,} are on their list; {imported.added:,} were not on ours.")


def _done(what: str, count: int, *, as_json: bool) -> None:
    if as_json:
        emit({what: count})
    else:
        out.print(f"{count} {what}.")
