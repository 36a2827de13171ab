"""The floor: a bare script that does the necessary SQL, Redis, XML and HTTP, and nothing else.

It moves the same messages from the same file through the same servers to the same sandbox, with as many
writes: a row a message, once per client id; an event a move; packages that are claimed, settled, polled and
reported. It has what makes that fast (bulk statements, array literals, kept connections, raw HTTP) and none
of what makes it right: no checks, no retries, no doubt, no lanes, no limits, no look at what comes back.
"""

import csv
import http.client
import json
import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import psycopg

from bulk_dispatch.sandbox.options import SANDBOX_KEY
from tests.benchmarks.installation import LOOK, PACKAGE, Installation, await_ended

TABLES = """
    CREATE TABLE floor_messages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_id text NOT NULL UNIQUE,
        recipient text NOT NULL, sender text NOT NULL, text text NOT NULL, campaign text,
        status text NOT NULL, due_at timestamptz, package_id bigint, provider_message_id text,
            segments_billed smallint,
        finalized_at timestamptz);
    CREATE INDEX ON floor_messages (due_at, id) WHERE due_at IS NOT NULL;
    CREATE INDEX ON floor_messages (package_id) WHERE package_id IS NOT NULL;
    CREATE TABLE floor_packages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, poll_at timestamptz);
    CREATE INDEX ON floor_packages (poll_at) WHERE poll_at IS NOT NULL;
    CREATE TABLE floor_events (
        id bigint GENERATED ALWAYS AS IDENTITY, message_id bigint NOT NULL, package_id bigint,
        at timestamptz NOT NULL DEFAULT now(), type text NOT NULL, from_status text, to_status text NOT NULL,
        code text);
    CREATE INDEX ON floor_events (message_id)
"""
ENTRY = 500  # messages an entry of the stream
DISPATCHERS = 2
STREAM, GROUP = "floor", "floor"
UNDER_WAY = ("1", "100", "101")  # states that are no end [AlphaSMS sheet]


def run(place: Installation, file: Path, count: int, *, roomy: bool = False) -> float:
    """Seconds from the first row read to the last message final; `roomy`: with pages half filled, as the
    ledger's are since its profile said so."""
    with place.postgres() as connection:
        for statement in TABLES.split(";"):
            connection.execute(statement)
        if roomy:
            connection.execute("ALTER TABLE floor_messages SET (fillfactor = 50)")
        place.redis().xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        forked = multiprocessing.get_context("forkserver")
        ended = forked.Event()
        roles = [_enter, *[_dispatch] * DISPATCHERS, _poll]
        ready = forked.Barrier(len(roles) + 1)
        processes = [
            forked.Process(target=_play, args=(role, place, ready, ended), daemon=True) for role in roles
        ]
        for process in processes:
            process.start()
        ready.wait(60)
        [(began,)] = connection.execute("SELECT clock_timestamp()")
        _load(place, file)
        await_ended(lambda: _ended(connection), count)
        ended.set()
        for process in processes:
            process.join(30)
        [(last,)] = connection.execute("SELECT max(finalized_at) FROM floor_messages")
    place.check(count)
    seconds: float = (last - began).total_seconds()
    return seconds


def _ended(connection: "psycopg.Connection[Any]") -> int:
    [(count,)] = connection.execute("SELECT count(*) FROM floor_messages WHERE finalized_at IS NOT NULL")
    return int(count)


# -- the stages, a process each


def _play(role: Callable[[Installation, Any], None], place: Installation, ready: Any, ended: Any) -> None:
    ready.wait(60)
    role(place, ended)


def _load(place: Installation, file: Path) -> None:
    client = place.redis()
    with file.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        names = next(rows)
        while head := list(islice(rows, ENTRY)):
            client.xadd(STREAM, {"m": json.dumps([dict(zip(names, row, strict=True)) for row in head])})


def _enter(place: Installation, ended: Any) -> None:
    client = place.redis()
    with _connected(place) as connection:
        while not ended.is_set():
            found: Any = client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=4, block=100)
            if not found:
                continue
            [(_, entries)] = found
            messages = [message for _, fields in entries for message in json.loads(fields[b"m"])]
            connection.execute(
                """
                WITH entered AS (
                    INSERT INTO floor_messages (client_id, recipient, sender, text, campaign, status, due_at)
                    SELECT *, 'queued', now() FROM unnest(
                        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                    ON CONFLICT (client_id) DO NOTHING RETURNING id
                )
                INSERT INTO floor_events (message_id, type, to_status)
                SELECT id, 'enqueue', 'queued' FROM entered
                """,
                [
                    _texts(m[name] for m in messages)
                    for name in ("client_id", "recipient", "sender", "text", "campaign")
                ],
            )
            connection.commit()
            ids = [entry_id for entry_id, _ in entries]
            client.xack(STREAM, GROUP, *ids)
            client.xdel(STREAM, *ids)


def _dispatch(place: Installation, ended: Any) -> None:
    provider = _Provider(place)
    with _connected(place) as connection:
        while not ended.is_set():
            rows = connection.execute(
                f"""
                SELECT id, recipient, sender, text FROM floor_messages WHERE due_at <= now()
                ORDER BY due_at, id LIMIT {PACKAGE} FOR UPDATE SKIP LOCKED
                """
            ).fetchall()
            if not rows:
                connection.commit()
                time.sleep(0.01)
                continue
            [(package,)] = connection.execute(
                """
                WITH opened AS (
                    INSERT INTO floor_packages DEFAULT VALUES RETURNING id
                ), moved AS (
                    UPDATE floor_messages m SET status = 'sending', package_id = o.id, due_at = NULL
                    FROM opened o WHERE m.id = ANY(%s::bigint[]) RETURNING m.id, m.package_id
                ), written AS (
                    INSERT INTO floor_events (message_id, package_id, type, from_status, to_status)
                    SELECT id, package_id, 'claim', 'queued', 'sending' FROM moved
                )
                SELECT id FROM opened
                """,
                (_numbers(row[0] for row in rows),),
            )
            connection.commit()
            answers = provider.ask("message", "".join(map(_written, rows)))
            connection.execute(
                """
                WITH moved AS (
                    UPDATE floor_messages m SET status = 'sent', provider_message_id = n.theirs,
                        segments_billed = n.segments_billed
                    FROM unnest(%s::bigint[], %s::text[], %s::smallint[]) AS n (id, theirs, segments_billed)
                    WHERE m.id = n.id AND m.package_id = %s AND m.status = 'sending'
                    RETURNING m.id, m.package_id
                )
                INSERT INTO floor_events (message_id, package_id, type, from_status, to_status, code)
                SELECT id, package_id, 'settle', 'sending', 'sent', '1' FROM moved
                """,
                (
                    _numbers(one[0] for one in answers),
                    _texts(one[1] for one in answers),
                    _numbers(one[2] for one in answers),
                    package,
                ),
            )
            connection.execute(
                "UPDATE floor_packages SET poll_at = now() + %s * interval '1 second' WHERE id = %s",
                (LOOK, package),
            )
            connection.commit()


def _poll(place: Installation, ended: Any) -> None:
    provider = _Provider(place)
    with _connected(place) as connection:
        while not ended.is_set():
            packages = connection.execute(
                """
                UPDATE floor_packages SET poll_at = now() + interval '1 second' WHERE id IN (
                    SELECT id FROM floor_packages WHERE poll_at <= now() ORDER BY poll_at LIMIT 4
                    FOR UPDATE SKIP LOCKED)
                RETURNING id
                """
            ).fetchall()
            connection.commit()
            if not packages:
                time.sleep(0.01)
                continue
            for (package,) in packages:
                rows = connection.execute(
                    "SELECT id FROM floor_messages WHERE package_id = %s AND status = 'sent'", (package,)
                ).fetchall()
                answers = provider.ask("status", "".join(f'<msg id="{row[0]}"/>' for row in rows))
                final = [one for one in answers if one[3] not in UNDER_WAY]
                connection.execute(
                    """
                    WITH moved AS (
                        UPDATE floor_messages m SET status = n.status, finalized_at = now()
                        FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS n (id, status, code)
                        WHERE m.id = n.id AND m.package_id = %s AND m.status = 'sent'
                        RETURNING m.id, m.package_id, m.status, n.code
                    )
                    INSERT INTO floor_events (message_id, package_id, type, from_status, to_status, code)
                    SELECT id, package_id, 'report', 'sent', status, code FROM moved
                    """,
                    (
                        _numbers(one[0] for one in final),
                        _texts("delivered" if one[3] == "102" else "undeliverable" for one in final),
                        _texts(one[3] for one in final),
                        package,
                    ),
                )
                if len(final) == len(rows):
                    connection.execute("UPDATE floor_packages SET poll_at = NULL WHERE id = %s", (package,))
                connection.commit()


# -- the wire


ANSWER = re.compile(rb'<msg id="(\d+)"([^>]*)>(\d+)</msg>')
THEIRS = re.compile(rb'sms_id="(\d+)"')
SEGMENTS = re.compile(rb'sms_count="(\d+)"')


class _Provider:
    """One kept connection to the sandbox."""

    def __init__(self, place: Installation) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", place.port)

    def ask(self, command: str, body: str) -> list[tuple[int, str, int, str]]:
        """Our id, their id, segments and state of each message in the answer."""
        document = f'<package key="{SANDBOX_KEY}"><{command}>{body}</{command}></package>'
        self._connection.request("POST", "/api/xml.php", document.encode(), {"Content-Type": "text/xml"})
        answer = self._connection.getresponse().read()
        return [_read(*found) for found in ANSWER.findall(answer)]


def _read(number: bytes, attributes: bytes, state: bytes) -> tuple[int, str, int, str]:
    theirs, segments = THEIRS.search(attributes), SEGMENTS.search(attributes)
    return (
        int(number),
        theirs.group(1).decode() if theirs else "",
        int(segments.group(1)) if segments else 0,
        state.decode(),
    )


def _written(row: Sequence[Any]) -> str:
    number, recipient, sender, text = row
    return (
        f'<msg id="{number}" recipient="{recipient}" sender={quoteattr(sender)} type="0">{escape(text)}</msg>'
    )


# -- the book


def _connected(place: Installation) -> "psycopg.Connection[Any]":
    return psycopg.connect(place.conninfo)


def _texts(values: Iterable[str]) -> str:
    """As a literal of an array: the driver's own takes longer than the statement."""
    return '{"' + '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values) + '"}'


def _numbers(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
