"""Under way: the packages and messages that the stages still have to ask about, settle or withdraw."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.collisions import COLLIDED
from bulk_dispatch.ledger.outbound import COLUMNS, item
from bulk_dispatch.ledger.schema import sql_list
from bulk_dispatch.ledger.suppressions import MEANT


class OpenMessage(NamedTuple):
    """A message of a package that still has to be asked about."""

    id: int
    package_id: int
    reference: int
    provider_message_id: str
    status: Status
    attempts: int
    kind: Kind
    segments_estimated: int | None  # segments, by our own count
    account: str  # by which it left; empty before anybody noted it


_OPEN = (Status.SENDING, Status.SENT, Status.IN_DOUBT)


def open_messages(
    connection: Connection,
    package_ids: Sequence[int],
    statuses: Sequence[Status] = _OPEN,
    campaign: str = "",
    producer: str = "",
) -> list[OpenMessage]:
    """The messages of these packages that stand in one of `statuses`; of one campaign or one producer, if it
    is named."""
    given = {name: part for name, part in (("campaign", campaign), ("producer", producer)) if part}
    rows = connection.execute(
        text(f"""
            SELECT {_OPEN_COLUMNS} FROM packages p JOIN messages m ON m.package_id = p.id
            WHERE p.id = ANY(CAST(:ids AS bigint[])) AND m.status = ANY(CAST(:statuses AS text[]))
              {" ".join(f"AND m.{name} = :{name}" for name in given)}
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {
            "ids": list(package_ids),
            "statuses": [status.value for status in statuses],
            **given,
        },
    )
    return [_open_message(row) for row in rows.all()]


def doubtful_messages(connection: Connection, package_ids: Sequence[int]) -> list[OpenMessage]:
    """The messages in doubt of these packages that may be asked about: what is held for a collision would be
    told of a stranger's."""
    rows = connection.execute(
        text(f"""
            SELECT {_OPEN_COLUMNS} FROM packages p JOIN messages m ON m.package_id = p.id
            WHERE p.id = ANY(CAST(:ids AS bigint[])) AND m.status = '{Status.IN_DOUBT}' AND NOT {COLLIDED}
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(package_ids)},
    )
    return [_open_message(row) for row in rows.all()]


def listed_messages(
    connection: Connection, package_ids: Sequence[int], numbers: Sequence[str] = ()
) -> list[OpenMessage]:
    """Those of these packages that have no end yet, and whose number is on the suppression list; of these
    numbers only, if any are given."""
    rows = connection.execute(
        text(f"""
            SELECT {_OPEN_COLUMNS}
            FROM packages p JOIN messages m ON m.package_id = p.id JOIN suppressions s USING (recipient)
            WHERE p.id = ANY(CAST(:ids AS bigint[])) AND m.status IN ({sql_list(_OPEN)}) AND {MEANT}
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(package_ids), "numbers": list(numbers) or None},
    )
    return [_open_message(row) for row in rows.all()]


_OPEN_COLUMNS = """
    m.id, m.package_id, m.reference, coalesce(m.provider_message_id, '') AS provider_message_id, m.status,
        m.attempts, m.kind,
    m.segments_estimated, coalesce(p.account, '') AS account
"""


_STATUSES = {status.value: status for status in Status}
_KINDS = {kind.value: kind for kind in Kind}


def _open_message(row: Sequence[Any]) -> OpenMessage:
    # By place, as in `item`: with keywords it takes twice as long, and every message comes by here.
    (
        id_,
        package_id,
        reference,
        provider_message_id,
        status,
        attempts,
        kind,
        segments_estimated,
        account,
        *_,
    ) = row
    return OpenMessage(
        id_,
        package_id,
        reference,
        provider_message_id,
        _STATUSES[status],
        attempts,
        _KINDS[kind],
        segments_estimated,
        account,
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A message that its provider has, and that has no end yet."""

    client_id: str
    route: str
    message: OpenMessage


def held_messages(connection: Connection, client_ids: Sequence[str], producer: str = "") -> list[Held]:
    """Those of the named messages of a producer that their provider has."""
    rows = connection.execute(
        text(f"""
            SELECT {_OPEN_COLUMNS}, m.client_id, m.route
            FROM messages m JOIN packages p ON p.id = m.package_id
            WHERE m.client_id = ANY(CAST(:ids AS text[])) AND m.producer = :producer
              AND m.corrected_by IS NULL AND m.status = '{Status.SENT}'
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(client_ids), "producer": producer},
    )
    return [Held(client_id=row.client_id, route=row.route, message=_open_message(row)) for row in rows]


def live_packages(connection: Connection, route: str) -> list[tuple[int, int]]:
    """The packages of a route that somebody still comes by for: (id, messages it left with), oldest first."""
    rows = connection.execute(
        text("""
            SELECT id, message_count FROM packages
            WHERE route = :route AND (poll_at IS NOT NULL OR rescue_at IS NOT NULL) ORDER BY id
        """),
        {"route": route},
    )
    return [(row.id, row.message_count) for row in rows]


def doubtful_items(
    connection: Connection, package_ids: Sequence[int], limits: Limits, skew: timedelta = timedelta(0)
) -> list[tuple[int, OutboundMessage]]:
    """The messages in doubt of these packages as they would leave again, each with its package; those that
    are too late by now, held for a collision, or for a number on the suppression list, are left out. See
    `item`."""
    rows = connection.execute(
        text(f"""
            SELECT {COLUMNS}, m.package_id FROM messages m
            WHERE m.package_id = ANY(CAST(:ids AS bigint[])) AND m.status = '{Status.IN_DOUBT}'
              AND coalesce(m.valid_until > greatest(now(), m.send_at), true) AND NOT {COLLIDED}
              AND NOT EXISTS (SELECT FROM suppressions s WHERE s.recipient = m.recipient)
            ORDER BY m.package_id, m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(package_ids)},
    )
    return [(row.package_id, item(row, limits, skew)) for row in rows]
