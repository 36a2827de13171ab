"""Enqueue: what enters the book, once per client id for ever."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.ledger.arrays import bound, sql_rows
from worker.ledger.items import content
from worker.sms.content import Content, Sms
from worker.sms.message import Message, differences
from worker.sms.status import Status, Verb


@dataclass(frozen=True, slots=True)
class Conflict:
    """A client id that came back with other content: the fields that differ."""

    client_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of the messages offered: new + duplicates + conflicts = offered."""

    new: int
    duplicates: int
    conflicts: tuple[Conflict, ...]


_COLUMNS = {
    "client_id": "text",
    "route": "text",
    "lane": "text",
    "kind": "text",
    "campaign": "text",
    "recipient": "text",
    "sender": "text",
    "text": "text",
    "valid_until": "timestamptz",
    "in_doubt": "text",
    "send_at": "timestamptz",
    "viber_valid_until": "timestamptz",
    "counted": "smallint",
    "extra": "jsonb",
}

# Sorted, so that two writers of the same ids meet in the same order and cannot deadlock.
# Begins with its verb, as moves do, for whoever looks at what the database is doing.
_ENQUEUE = text(f"""
    /* {Verb.ENQUEUE} */ WITH offered AS (
        {sql_rows(_COLUMNS)}
    ), entered AS (
        INSERT INTO messages ({", ".join(_COLUMNS)}, status, due_at, finalized_at)
        SELECT o.*,
               CASE WHEN s.recipient IS NULL THEN '{Status.QUEUED}' ELSE '{Status.SUPPRESSED}' END,
               CASE WHEN s.recipient IS NULL THEN greatest(now(), o.send_at) END,
               CASE WHEN s.recipient IS NOT NULL THEN now() END
        FROM offered o LEFT JOIN stop_list s ON s.recipient = o.recipient
        ORDER BY o.client_id COLLATE "C"
        ON CONFLICT (client_id) DO NOTHING
        RETURNING id, status
    ), written AS (
        INSERT INTO events (message_id, verb, target) SELECT id, '{Verb.ENQUEUE}', status FROM entered
    )
    SELECT count(*) FROM entered
""")  # noqa: S608 - our own constants

_STORED = text("""
    SELECT client_id, kind, recipient, sender, text, extra FROM messages
    WHERE client_id = ANY(CAST(:client_ids AS text[]))
""")


def enqueue(connection: Connection, offered: Sequence[Message]) -> Enqueued:
    """Enter messages, once per client id for ever. Every message must carry its route.

    The same id with the same content is a duplicate, counted; with other content it is a conflict, recorded
    and never sent.
    """
    first: dict[str, Message] = {}
    for message in offered:
        first.setdefault(message.client_id, message)
    unique = list(first.values())
    new: int = connection.execute(_ENQUEUE, bound(_columns(unique))).scalar_one()
    if new == len(offered):
        return Enqueued(new, 0, ())
    conflicts = _conflicts(connection, offered)
    _record_conflicts(connection, conflicts)
    repeats = len(offered) - new - len(conflicts)
    if repeats:
        connection.execute(text("INSERT INTO duplicates (count) VALUES (:count)"), {"count": repeats})
    return Enqueued(new, repeats, tuple(conflict for conflict, _ in conflicts))


def _columns(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "client_id": [m.client_id for m in messages],
        "route": [m.route for m in messages],
        "lane": [m.lane for m in messages],
        "kind": [m.kind for m in messages],
        "campaign": [m.campaign or None for m in messages],
        "recipient": [m.recipient for m in messages],
        "sender": [m.sender for m in messages],
        "text": [m.text for m in messages],
        "valid_until": [m.valid_until for m in messages],
        "in_doubt": [m.in_doubt for m in messages],
        "send_at": [m.send_at for m in messages],
        "viber_valid_until": [m.viber_valid_until for m in messages],
        "counted": [m.content.segments for m in messages],
        "extra": [_extra(m.content) for m in messages],
    }


def _extra(content: Content) -> str | None:
    """What a content holds beside a text, as JSON."""
    if type(content) is Sms:  # nearly every message there is
        return None
    extra = {name: value for name, value in content.as_dict().items() if name != "text"}
    return json.dumps(extra, ensure_ascii=False) if extra else None


def _conflicts(connection: Connection, offered: Iterable[Message]) -> list[tuple[Conflict, Message]]:
    """The offered messages whose id is in the ledger with other content (our own rows included)."""
    by_id = connection.execute(_STORED, {"client_ids": list({m.client_id for m in offered})})
    stored = {row.client_id: _stored_message(row) for row in by_id}
    compared = ((message, differences(message, stored[message.client_id])) for message in offered)
    return [(Conflict(message.client_id, fields), message) for message, fields in compared if fields]


def _stored_message(row: Row[Any]) -> Message:
    said = content(row.kind, row.text, row.extra)
    return Message(client_id=row.client_id, recipient=row.recipient, sender=row.sender, content=said)


def _record_conflicts(connection: Connection, conflicts: Iterable[tuple[Conflict, Message]]) -> None:
    """Once per difference: an entry that is read again after a crash brings the same conflict again.

    Sorted, as in `_ENQUEUE`: two writers of the same conflicts cannot deadlock.
    """
    rows = [
        {
            "client_id": message.client_id,
            "fields": ", ".join(conflict.fields),
            "offered": json.dumps(message.as_dict(), ensure_ascii=False),
        }
        for conflict, message in conflicts
    ]
    rows.sort(key=lambda row: (row["client_id"], row["offered"]))
    if rows:
        connection.execute(
            text("""
                INSERT INTO conflicts (client_id, fields, offered, digest)
                VALUES (:client_id, :fields, CAST(:offered AS text)::jsonb, md5(CAST(:offered AS text)))
                ON CONFLICT DO NOTHING
            """),
            rows,
        )
