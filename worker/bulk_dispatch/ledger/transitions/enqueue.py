"""Enqueue: what enters the book, once per producer and client id for ever.

But what came to its end without anybody having got it may be corrected: then the new message goes out, and
the old one stays as it is, with the number of the one that went out in its stead.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from bulk_dispatch.domain.content import Content, Sms
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.bulk_params import bound, sql_rows
from bulk_dispatch.ledger.journal import sql_journal
from bulk_dispatch.ledger.schema import sql_flow_id
from bulk_dispatch.ledger.transitions.duplicates import MISTAKEN, Conflict, differing, record


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of the messages offered: new + duplicates + conflicts = offered. `corrected` of the new
    ones go out in the stead of others that came to nothing."""

    new: int
    duplicates: int
    conflicts: tuple[Conflict, ...]
    corrected: int = 0


_COLUMNS = {
    "client_id": "text",
    "route": "text",
    "lane": "text",
    "kind": "text",
    "campaign": "text",
    "producer": "text",
    "recipient": "text",
    "sender": "text",
    "text": "text",
    "valid_until": "timestamptz",
    "in_doubt": "text",
    "send_at": "timestamptz",
    "viber_valid_until": "timestamptz",
    "segments_estimated": "smallint",
    "content": "jsonb",
}

_STANDING = f"""
    CASE WHEN s.recipient IS NULL THEN '{Status.QUEUED}' ELSE '{Status.SUPPRESSED}' END AS status,
    CASE WHEN s.recipient IS NULL THEN greatest(now(), o.send_at) END AS due_at,
    CASE WHEN s.recipient IS NOT NULL THEN now() END AS finalized_at,
    {sql_flow_id("o.")} AS flow_id
"""
"""Status, turn, end and flow of an offered message o, by the suppression list s."""

_ENTERED = f"{', '.join(_COLUMNS)}, status, due_at, finalized_at, flow_id"

# Sorted, so that two writers of the same ids meet in the same order and cannot deadlock.
# Begins with its type, as transitions do, for people who look at what the database is doing.
_ENQUEUE = text(f"""
    /* {EventType.ENQUEUE} */ WITH offered AS (
        {sql_rows(_COLUMNS)}
    ), entered AS (
        INSERT INTO messages ({_ENTERED})
        SELECT o.*, {_STANDING}
        FROM offered o LEFT JOIN suppressions s ON s.recipient = o.recipient
        ORDER BY o.client_id COLLATE "C", o.producer COLLATE "C"
        ON CONFLICT (client_id, producer) WHERE corrected_by IS NULL DO NOTHING
        RETURNING id, status
    ), written AS (
        {sql_journal("entered", type=f"'{EventType.ENQUEUE}'", to_status="status")}
    )
    SELECT count(*) FROM entered
""")  # noqa: S608 - our own constants

_JOURNAL_CORRECTIONS = sql_journal(
    "corrected",
    type=f"'{EventType.ENQUEUE}'",
    to_status="status",
    note="'in the stead of one that was ' || came_to",
)

# Locked in the same order. A transaction that waits here finds it corrected by another, and leaves it alone.
# What one transaction brings twice is a conflict, though the first of the two be suppressed at once: nobody
# can have seen that it came to nothing. All that is written comes out of one CTE: to join two of them would
# take a walk through the one for each row of the other.
_CORRECT = text(f"""
    /* {EventType.ENQUEUE} */ WITH offered AS (
        {sql_rows(_COLUMNS)}
    ), mistaken AS (
        SELECT m.id AS mistaken_id, m.status AS came_to, o.*, {_STANDING}
        FROM offered o JOIN messages m ON m.client_id = o.client_id AND m.producer = o.producer
        LEFT JOIN suppressions s ON s.recipient = o.recipient
        WHERE {MISTAKEN} AND m.enqueued_at <> now()
        ORDER BY m.client_id COLLATE "C", m.producer COLLATE "C" FOR UPDATE OF m
    ), corrected AS (
        UPDATE messages m SET corrected_by = nextval('messages_id_seq')
        FROM mistaken t WHERE m.id = t.mistaken_id
        RETURNING m.corrected_by AS id, t.*
    ), entered AS (
        INSERT INTO messages (id, {_ENTERED}) OVERRIDING SYSTEM VALUE SELECT id, {_ENTERED} FROM corrected
    ), written AS (
        {_JOURNAL_CORRECTIONS}
    )
    SELECT count(*) FROM corrected
""")  # noqa: S608 - our own constants


def enqueue(connection: Connection, offered: Sequence[Message]) -> Enqueued:
    """Enter messages, once per producer and client id for ever. Every message must carry its route.

    The same id with the same content is a duplicate, counted. With other content it is a correction, if what
    stands there came to its end and nobody got anything, and else a conflict, recorded and never sent.
    """
    new = _enter(connection, _first_of_each(offered))
    if new == len(offered):
        return Enqueued(new, 0, ())
    corrected, strange = 0, differing(connection, offered)
    if strange:
        changed = [message for _, message in strange]
        corrected = _correct(connection, _first_of_each(changed))
        strange = differing(connection, changed)  # from what stands there now, our own corrections included
        record(connection, strange)
    repeats = len(offered) - new - corrected - len(strange)
    if repeats:
        connection.execute(text("INSERT INTO duplicate_counts (count) VALUES (:count)"), {"count": repeats})
    return Enqueued(new + corrected, repeats, tuple(conflict for conflict, _ in strange), corrected)


def _first_of_each(messages: Sequence[Message]) -> list[Message]:
    """The first message of each client id."""
    return list({(m.client_id, m.producer): m for m in reversed(messages)}.values())


def _enter(connection: Connection, messages: Sequence[Message]) -> int:
    entered: int = connection.execute(_ENQUEUE, bound(_columns(messages))).scalar_one()
    return entered


def _correct(connection: Connection, messages: Sequence[Message]) -> int:
    """Enter messages in the stead of those that came to nothing; the others are left out."""
    entered: int = connection.execute(_CORRECT, bound(_columns(messages))).scalar_one()
    return entered


def _columns(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "client_id": [m.client_id for m in messages],
        "route": [m.route for m in messages],
        "lane": [m.lane for m in messages],
        "kind": [m.kind for m in messages],
        "campaign": [m.campaign or None for m in messages],
        "producer": [m.producer for m in messages],
        "recipient": [m.recipient for m in messages],
        "sender": [m.sender for m in messages],
        "text": [m.text for m in messages],
        "valid_until": [m.valid_until for m in messages],
        "in_doubt": [m.in_doubt for m in messages],
        "send_at": [m.send_at for m in messages],
        "viber_valid_until": [m.viber_valid_until for m in messages],
        "segments_estimated": [m.content.segments for m in messages],
        "content": [_beside_text(m.content) for m in messages],
    }


def _beside_text(content: Content) -> str | None:
    """What a content holds beside a text, as JSON."""
    if type(content) is Sms:  # nearly every message there is
        return None
    extra = {name: value for name, value in content.as_dict().items() if name != "text"}
    return json.dumps(extra, ensure_ascii=False) if extra else None
