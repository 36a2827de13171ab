"""Repeats: what was offered under a client id that is in the ledger already, and says something else."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, TextClause, text

from bulk_dispatch.domain.message import Foreseen, Message, Said, differences
from bulk_dispatch.domain.status import CORRECTABLE, TAKEN, Status
from bulk_dispatch.ledger.journal import OF_MESSAGE
from bulk_dispatch.ledger.schema import sql_list


@dataclass(frozen=True, slots=True)
class Conflict:
    """A client id that came back with other content: the fields that differ."""

    client_id: str
    fields: tuple[str, ...]
    producer: str = ""


Strange: TypeAlias = list[tuple[Conflict, Message]]
"""Messages, each with what it differs in from the one that stands under its client id."""

_Key: TypeAlias = tuple[str, str]

MISTAKEN = f"""
    m.corrected_by IS NULL AND m.status IN ({sql_list(CORRECTABLE)})
    AND NOT EXISTS (SELECT FROM journal e WHERE e.to_status IN ({sql_list(TAKEN)}) AND {OF_MESSAGE})
"""
"""Of a message m: it came to its end, and nobody can have got it."""

_STORED = """
    SELECT client_id, producer, kind, recipient, sender, text, content::text FROM messages
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


def foresee(connection: Connection, offered: Sequence[Message]) -> Foreseen:
    """What the ledger would say to messages if they were enqueued now. Writes nothing."""
    current = dict(_stored(connection, _CURRENT, offered))
    there = {place for place, message in enumerate(offered) if _key(message) in current}
    if not there:
        return Foreseen()
    strange = {
        (c.producer, c.client_id) for c, _ in differing(connection, [offered[place] for place in there])
    }
    other = {place for place in there if _key(offered[place]) in strange}
    mistaken = _mistaken(connection, [offered[place] for place in other]) if other else set()
    corrections = {place for place in other if _key(offered[place]) in mistaken}
    return Foreseen(frozenset(there - other), frozenset(corrections), frozenset(other - corrections))


_MISTAKEN = text(f"""
    SELECT m.producer, m.client_id FROM messages m
    WHERE m.client_id = ANY(CAST(:client_ids AS text[])) AND m.producer = ANY(CAST(:producers AS text[]))
      AND {MISTAKEN}
""")  # noqa: S608 - our own constants


def _mistaken(connection: Connection, offered: Iterable[Message]) -> set[_Key]:
    rows = connection.execute(_MISTAKEN, _keys(offered))
    return {(row.producer, row.client_id) for row in rows}


def said_in(connection: Connection, campaign: str) -> Iterator[Said]:
    """What the messages of a campaign say that somebody got, or may get; and to whom. Reads the whole table:
    it has no index for that."""
    rows = connection.execution_options(yield_per=5000).execute(
        text(f"""
            SELECT kind, recipient, sender, text, content::text FROM messages
            WHERE campaign = :campaign AND status NOT IN ({sql_list({*CORRECTABLE, Status.CANCELLED})})
        """),  # noqa: S608 - our own constants
        {"campaign": campaign},
    )
    return map(_said, rows)


def _key(message: Message) -> _Key:
    return message.producer, message.client_id


def _stored(
    connection: Connection, statement: TextClause, offered: Iterable[Message]
) -> Iterator[tuple[_Key, Said]]:
    """What was entered under the keys of these messages; under others too that are made of their parts."""
    rows = connection.execute(statement, _keys(offered))
    return (((row.producer, row.client_id), _said(row)) for row in rows)


def _keys(offered: Iterable[Message]) -> dict[str, list[str]]:
    keys = {_key(message) for message in offered}
    return {
        "client_ids": list({client_id for _, client_id in keys}),
        "producers": list({producer for producer, _ in keys}),
    }


def _said(row: Row[Any]) -> Said:
    content = json.loads(row.content) if row.content else {}  # which applications read in ways of their own
    words = {**content, **({"text": row.text} if row.text else {})}
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
