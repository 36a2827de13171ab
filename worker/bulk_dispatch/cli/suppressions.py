"""`worker suppressions`: numbers that must get nothing."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import remark
from bulk_dispatch.cli.context import migrated_ledger, opened_runtime, servers
from bulk_dispatch.cli.output import Json, WholeHelp, emit, out, table
from bulk_dispatch.cli.routes_account import Name, known_route, refuse
from bulk_dispatch.cli.suppressions_file import write
from bulk_dispatch.cli.suppressions_import import import_file
from bulk_dispatch.cli.suppressions_withdraw import (
    Region,
    as_listed,
    number,
    tell,
    withdraw,
    withdraw_if_possible,
)
from bulk_dispatch.domain.validation import mask
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.suppressions import Listed, find, latest, page, suppress, unsuppress
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.stages.account import import_stop_list

SHOWN = 50  # numbers listed, unless --limit says otherwise

app = typer.Typer(help="Numbers that must get nothing.", no_args_is_help=True, cls=WholeHelp)
app.command("import")(import_file)

Numbers = Annotated[list[str], typer.Argument(help="International numbers.")]


# -- one by one --------------------------------------------------------------------------------------


@app.command()
def add(
    numbers: Numbers,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the record.")] = "",
    region: Region = "",
    as_json: Json = False,
) -> None:
    """Let these numbers have nothing any more.

    Suppresses what is queued for them, and what will be; asks providers to cancel what they hold for them.
    Exit code 1 if that could not be done, or a provider gave no answer: they are on the list all the same,
    and get nothing that is still here. Say it again.
    """
    recipients = list(dict.fromkeys(number(one, region) for one in numbers))
    reason = remark("--reason", reason, 200) if reason else ""
    with servers() as settings:
        with migrated_ledger(settings) as ledger, ledger.begin() as connection:
            added = suppress(connection, recipients, reason)
        tally = withdraw_if_possible(settings, recipients)
    known = len(recipients) - added
    sentence = f"{added:,} added" + (f"; {known:,} on it already." if known else ".")
    tell({"added": added, "known": known}, sentence, tally, as_json=as_json)


@app.command()
def remove(numbers: Numbers, region: Region = "", as_json: Json = False) -> None:
    """Let these numbers have messages again. What was suppressed stays so."""
    recipients = [as_listed(one, region) for one in numbers]
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.begin() as connection:
        removed = unsuppress(connection, recipients)
    if as_json:
        emit({"removed": removed})
    else:
        out.print(f"{removed:,} removed.")


@app.command()
def check(
    wanted: Annotated[str, typer.Argument(metavar="NUMBER", help="An international number.")],
    region: Region = "",
    as_json: Json = False,
) -> None:
    """Tell whether a number is on the list, since when and why. Exit code 1 if it is not."""
    recipient = as_listed(wanted, region)
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.begin() as connection:
        found = find(connection, recipient)
    if as_json:
        emit({**_plain(found or Listed(recipient)), "listed": found is not None})
    elif found:
        since = f"{found.added_at:%Y-%m-%d %H:%M} UTC" if found.added_at else ""
        reason = f": {found.reason}" if found.reason else "; no reason was given."
        out.print(
            f"{mask(recipient)} is on the suppression list since {since}{reason}",
            markup=False,
            soft_wrap=True,
        )
    else:
        out.print(f"{mask(recipient)} is not on the suppression list.", markup=False)
    if not found:
        raise typer.Exit(1)


@app.command()
def pull(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", help="The reason, for the record. Default: that it is on their list.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Put the numbers of a provider's own stop list on ours; then as with `add`, for the whole list."""
    reason = remark("--reason", reason or f"on the stop list of route {name}", 200)
    with servers() as settings, opened_runtime(settings) as runtime:
        pulled = import_stop_list(runtime, known_route(runtime, name), reason)
        if pulled is None:
            raise refuse(name, "its provider keeps no stop list that can be read")
        if isinstance(pulled, Failure):
            raise refuse(name, pulled)
        tally = withdraw(runtime)
    values = {"route": name, "listed": pulled.listed, "added": pulled.added}
    sentence = f"{pulled.listed:,} are on their list; {pulled.added:,} were not on ours."
    tell(values, sentence, tally, as_json=as_json)


# -- the list ----------------------------------------------------------------------------------------


@app.command("list")
def list_numbers(
    limit: Annotated[int, typer.Option(min=0, help="Numbers to list, those added last; 0 for all.")] = SHOWN,
    as_json: Json = False,
) -> None:
    """Tell how many numbers are on the list, and those added last, masked. `export` writes them whole."""
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.snapshot() as connection:
        count, found = latest(connection, limit)
    shown = [_plain(one) for one in found]
    if as_json:
        emit({"count": count, "numbers": shown, "more": count > len(found)})
    elif not found:
        out.print(
            f"{count:,} numbers are on the suppression list." if count else "The suppression list is empty."
        )
    else:
        rows = [(one["recipient"], f"{one['added_at']:%Y-%m-%d %H:%M}", one["reason"]) for one in shown]
        table(f"{count:,} on the suppression list", ("recipient", "since (UTC)", "reason"), rows)
        if count > len(found):
            out.print(f"and {count - len(found):,} more; --limit 0 lists all", style="dim")


@app.command()
def export(as_json: Json = False) -> None:
    """Write the list as CSV to stdout, with whole numbers: `import` reads it."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        if as_json:
            listed = [asdict(one) for part in _pages(ledger) for one in part]
            emit({"count": len(listed), "numbers": listed})
        else:
            write(sys.stdout, _pages(ledger))


def _pages(ledger: Ledger) -> Iterator[list[Listed]]:
    """The whole list, each part read by itself: a slow reader must not keep a transaction open."""
    after = ""
    while True:
        with ledger.begin() as connection:
            part = page(connection, after)
        if not part:
            return
        yield part
        after = part[-1].recipient


def _plain(one: Listed) -> dict[str, Any]:
    return {"recipient": mask(one.recipient), "added_at": one.added_at, "reason": one.reason or None}
