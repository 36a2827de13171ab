"""Repeats: what was offered under a client id that is in the ledger already, and says something else."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, TextClause, text

from worker.sms.message import Message, Said, differences


@dataclass(frozen=True, slots=True)
class Conflict:
    """A client id that came back with other content: the fields that differ."""

    client_id: str
    fields: tuple[str, ...]
    producer: str = ""


Strange: TypeAlias = list[tuple[Conflict, Message]]
"""Messages, each with what it differs in from the one that stands under its client id."""

_Key: TypeAlias = tuple[str, str]

_STORED = """
    SELECT client_id, producer, kind, recipient, sender, text, extra FROM messages
    WHERE client_id = ANY(CAST(:client_ids AS text[])) AND producer = ANY(CAST(:producers AS text[]))
      AND corrected_by {is_it} NULL
"""
_CURRENT = text(_STORED.format(is_it="IS"))
_CORRECTED = text(_STORED.format(is_it="IS NOT"))


def differing(connection: Connection, offered: Collection[Message]) -> Strange:
    """Those of the offered messages that say what was never entered under their client ids, with what they
    differ in from the message that stands there now (our own rows included).

    Who says again what was corrected since does not want it back: it is the same call, come once more.
    """
    current = dict(_stored(connection, _CURRENT, offered))
    compared = ((message, differences(message.said, current[_key(message)])) for message in offered)
    strange = [(message, fields) for message, fields in compared if fields]
    if not strange:
        return []
    corrected: dict[_Key, list[Said]] = {}
    for key, said in _stored(connection, _CORRECTED, [message for message, _ in strange]):
        corrected.setdefault(key, []).append(said)
    return [
        (Conflict(message.client_id, fields, message.producer), message)
        for message, fields in strange
        if message.said not in corrected.get(_key(message), ())
    ]


def _key(message: Message) -> _Key:
    return message.producer, message.client_id


def _stored(
    connection: Connection, statement: TextClause, offered: Iterable[Message]
) -> Iterator[tuple[_Key, Said]]:
    """What was entered under the keys of these messages; under others too that are made of their parts."""
    keys = {_key(message) for message in offered}
    rows = connection.execute(
        statement,
        {
            "client_ids": list({client_id for _, client_id in keys}),
            "producers": list({producer for producer, _ in keys}),
        },
    )
    return (((row.producer, row.client_id), _said(row)) for row in rows)


def _said(row: Row[Any]) -> Said:
    words = {**(row.extra or {}), **({"text": row.text} if row.text else {})}
    return Said(row.kind, row.recipient, row.sender, words)


def record(connection: Connection, conflicts: Strange) -> None:
    """Once per difference: an entry that is read again after a crash brings the same conflict again.

    Sorted, as where messages are entered: two writers of the same conflicts cannot deadlock.
    """
    rows = [
        {
            "client_id": message.client_id,
            "producer": message.producer,
            "fields": ", ".join(conflict.fields),
            "offered": json.dumps(message.as_dict(), ensure_ascii=False),
        }
        for conflict, message in conflicts
    ]
    rows.sort(key=lambda row: (row["client_id"], row["offered"]))
    if rows:
        connection.execute(
            text("""
                INSERT INTO conflicts (client_id, producer, fields, offered, digest)
                VALUES (:client_id, :producer, :fields, CAST(:offered AS text)::jsonb,
                        md5(CAST(:offered AS text)))
                ON CONFLICT DO NOTHING
            """),
            rows,
        )
