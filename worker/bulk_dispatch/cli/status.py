"""`worker status`: where one message stands, and how it came there."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import Producer
from bulk_dispatch.cli.context import migrated_ledger, opened_intake, servers
from bulk_dispatch.cli.output import Json, complain, emit, flow, out, table
from bulk_dispatch.domain.validation import mask
from bulk_dispatch.ledger.queries import Event, History, history, producers_of
from bulk_dispatch.providers.code_texts import in_words, meaning


def status(
    client_id: Annotated[str, typer.Argument(help="The id you gave the message.")],
    producer: Producer = "",
    as_json: Json = False,
) -> None:
    """Where one message stands, and how it came there."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        with ledger.begin() as connection:
            found = history(connection, client_id, producer)
            others = [] if found else producers_of(connection, client_id)
        if found is None:
            with opened_intake(settings) as intake:
                waiting = sum(intake.waiting().values()) + intake.set_aside()
                _unknown(client_id, producer, others, waiting)
            raise typer.Exit(1)
    if as_json:
        emit(_plain(found))
    else:
        _show(found)


def _unknown(client_id: str, producer: str, others: Sequence[str], waiting: int) -> None:
    whose = f" of producer {producer!r}" if producer else ""
    named = ", ".join(repr(other) if other else "no producer" for other in others)
    there = f"; there is one of {named}: see --producer" if others else ""
    waits = f"; {waiting} messages still wait in the intake, it may be one of them" if waiting else ""
    complain(f"no message {client_id!r}{whose} in the ledger{there}{waits}")


def _plain(found: History) -> dict[str, Any]:
    plain = asdict(found)
    plain["recipient"] = mask(found.recipient)
    for told, event in zip(plain["events"], found.events, strict=True):
        told["meaning"] = meaning(event.provider, event.code, event.to_status) or None
    return plain


def _show(found: History) -> None:
    facts = {
        "producer": found.producer or None,
        "status": found.status.value,
        "route": f"{found.route} ({found.lane})",
        "recipient": mask(found.recipient),
        "kind": found.kind,
        "leaves at": found.send_at and _moment(found.send_at),
        "their id": found.provider_message_id,
        "segments": _segments(found),
        "read at": found.read_at and _moment(found.read_at),
        "attempts used up": found.attempts or None,
        "corrects": f"{found.corrects} before it, which nobody got" if found.corrects else None,
    }
    out.print(found.client_id, style="bold", markup=False)
    for name, value in facts.items():
        if value is not None:
            flow(f"  {name:<17}", str(value))
    table("", ("at (UTC)", "event", "from", "to", "what is known"), map(_cells, found.events))


def _cells(event: Event) -> tuple[object, ...]:
    """A line of the history; what is known stands together, so that it fits."""
    package = f"package {event.package_id}" if event.package_id else ""
    known = "; ".join(
        filter(None, (package, in_words(event.provider, event.code, event.to_status), event.note))
    )
    return (f"{event.at:%Y-%m-%d %H:%M:%S}", event.type, event.from_status, event.to_status, known)


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _segments(found: History) -> str | None:
    """As they bill them; beside it our own count, where that is another or the only one."""
    theirs, ours = found.segments_billed, found.segments_estimated
    if theirs is None:
        return f"{ours} by our count" if ours else None
    return f"{theirs} ({ours} by our count)" if ours and ours != theirs else str(theirs)
