"""`worker stoplist`: numbers that must get nothing."""

from typing import Annotated

import typer

from worker.cli.output import Json, emit, out
from worker.cli.session import migrated_ledger, servers
from worker.ledger.stop_list import suppress, unsuppress
from worker.sms.message import phone_number

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


def _done(what: str, count: int, *, as_json: bool) -> None:
    if as_json:
        emit({what: count})
    else:
        out.print(f"{count} {what}.")
