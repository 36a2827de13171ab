"""Commands that look: status, books."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from worker.cli.output import Json, complain, emit, err, out, table
from worker.cli.session import migrated_ledger, opened_intake, servers
from worker.intake import Intake
from worker.ledger import Ledger
from worker.ledger.queries import Books, History, books, history
from worker.sms.message import mask


def status(
    client_id: Annotated[str, typer.Argument(help="The id you gave the message.")], as_json: Json = False
) -> None:
    """Where one message stands, and how it came there."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        with ledger.begin() as connection:
            found = history(connection, client_id)
        if found is None:
            with opened_intake(settings) as intake:
                _unknown(client_id, sum(intake.waiting().values()))
            raise typer.Exit(1)
    if as_json:
        emit(_plain(found))
    else:
        _show(found)


def _unknown(client_id: str, waiting: int) -> None:
    waits = f"; {waiting} messages still wait in the intake, it may be one of them" if waiting else ""
    complain(f"no message {client_id!r} in the ledger{waits}")


def _plain(found: History) -> dict[str, Any]:
    plain = asdict(found)
    plain["recipient"] = mask(found.recipient)
    return plain


def _show(found: History) -> None:
    facts = {
        "status": found.status.value,
        "route": f"{found.route} ({found.lane})",
        "recipient": mask(found.recipient),
        "their id": found.provider_id,
        "segments": found.segments,
        "attempts used up": found.attempts or None,
    }
    out.print(found.client_id, style="bold", markup=False)
    for name, value in facts.items():
        if value is not None:
            out.print(f"  {name:<17}{value}", markup=False)
    table(
        "",
        ("at (UTC)", "verb", "from", "to", "package", "code", "note"),
        [
            (f"{e.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], e.verb, e.source, e.target, e.package_id, e.code, e.note)
            for e in found.events
        ],
    )


def show_books(as_json: Json = False) -> None:
    """Every message given to us, by state; exit code 1 if the books do not balance."""
    with (
        servers() as settings,
        migrated_ledger(settings) as ledger,
        opened_intake(settings) as intake,
        err.status("counting…"),
    ):
        read = read_books(ledger, intake)
    if as_json:
        emit(read)
    else:
        print_books(read)
    if not read["balanced"]:
        raise typer.Exit(1)


def read_books(ledger: Ledger, intake: Intake) -> dict[str, Any]:
    """The books as plain values: what `worker books --json` prints."""
    with ledger.snapshot() as connection:
        found: Books = books(connection)
    return {
        "total": found.total,
        "by_status": {status.value: count for status, count in found.by_status.items()},
        "waiting": sum(intake.waiting().values()),
        "duplicates": found.duplicates,
        "conflicts": found.conflicts,
        "dead_letters": intake.dead_letters(),
        "balanced": found.balanced,
        "unbalanced": list(found.unbalanced),
    }


def print_books(read: dict[str, Any]) -> None:
    """The books as a table."""
    rows = [*read["by_status"].items(), ("total", read["total"])]
    table("Books", ("status", "#messages"), [(name, f"{count:,}") for name, count in rows])
    beside = ("waiting", "duplicates", "conflicts", "dead_letters")
    out.print("  ".join(f"{name.replace('_', ' ')} {read[name]:,}" for name in beside), style="dim")
    if read["balanced"]:
        out.print("The books balance.", style="green")
    else:
        out.print("The books do NOT balance: " + "; ".join(read["unbalanced"]), style="bold red")
