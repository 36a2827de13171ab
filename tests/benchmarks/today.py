"""What people do today: a task a message, with an HTTP request of its own, a row in a table, and a second
task that asks for its state.

Written as a competent user of the engine would: kept HTTP connections, a pool of database connections, an
insert that a repeated client id cannot pass twice, late acknowledgement, no results stored, many threads. The
work is here; an application for Celery and one for dramatiq call it.
"""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import httpx
from sqlalchemy import Engine, create_engine, text

from bulk_dispatch.sandbox.options import SANDBOX_KEY
from tests.benchmarks.installation import LOOK, Installation, await_ended
from tests.waiting import eventually

TABLE = """
    CREATE TABLE today (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_id text NOT NULL UNIQUE,
        recipient text NOT NULL, sender text NOT NULL, text text NOT NULL, status text NOT NULL,
        provider_message_id text, created_at timestamptz NOT NULL DEFAULT now(), finalized_at timestamptz)
"""
THREADS = 8  # of each of two processes
ASK_AFTER = LOOK
UNDER_WAY = ("1", "100", "101")
ANSWER = re.compile(rb'<msg id="\d+"([^>]*)>(\d+)</msg>')
THEIRS = re.compile(rb'sms_id="(\d+)"')


class Way(NamedTuple):
    """One engine: its module, and the command of its worker processes."""

    name: str
    module: str
    workers: Sequence[str]


CELERY = Way(
    "Celery",
    "tests.benchmarks.today_celery",
    (
        "celery", "-A", "tests.benchmarks.today_celery", "worker", "--pool", "threads",
        "--concurrency", str(THREADS), "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
    ),
)  # fmt: skip
DRAMATIQ = Way(
    "dramatiq",
    "tests.benchmarks.today_dramatiq",
    ("dramatiq", "--processes", "1", "--threads", str(THREADS), "tests.benchmarks.today_dramatiq"),
)
ENGINES = (CELERY, DRAMATIQ)


# -- the work of the two tasks


@cache
def engine() -> Engine:
    """The pool of this process."""
    return create_engine(os.environ["TODAY_DATABASE"], pool_size=THREADS)


@cache
def client() -> httpx.Client:
    """The connections of this process."""
    return httpx.Client(base_url=os.environ["TODAY_URL"])


def send(client_id: str, recipient: str, sender: str, words: str) -> int | None:
    """Enter one message, send it, note the answer. Returns its row's id; None for one that was there."""
    with engine().begin() as connection:
        row: int | None = connection.execute(
            text("""
                INSERT INTO today (client_id, recipient, sender, text, status)
                VALUES (:client_id, :recipient, :sender, :words, 'new')
                ON CONFLICT (client_id) DO NOTHING RETURNING id
            """),
            {"client_id": client_id, "recipient": recipient, "sender": sender, "words": words},
        ).scalar_one_or_none()
    if row is None:
        return None
    theirs, _ = _ask(
        "message",
        f'<msg id="{row}" recipient="{recipient}" sender="{sender}" type="0">{escape(words)}</msg>',
    )
    with engine().begin() as connection:
        connection.execute(
            text("UPDATE today SET status = 'sent', provider_message_id = :theirs WHERE id = :id"),
            {"theirs": theirs, "id": row},
        )
    return row


def check(row: int) -> bool:
    """Ask for one message, note its end. False if it has none yet."""
    _, state = _ask("status", f'<msg id="{row}"/>')
    if state in UNDER_WAY:
        return False
    with engine().begin() as connection:
        connection.execute(
            text("UPDATE today SET status = :status, finalized_at = now() WHERE id = :id"),
            {"status": "delivered" if state == "102" else "failed", "id": row},
        )
    return True


def _ask(command: str, body: str) -> tuple[str, str]:
    document = f'<package key="{SANDBOX_KEY}"><{command}>{body}</{command}></package>'
    answer = client().post("/api/xml.php", content=document.encode(), headers={"Content-Type": "text/xml"})
    answer.raise_for_status()
    found = ANSWER.search(answer.content)
    assert found is not None, answer.content
    theirs = THEIRS.search(found.group(1))
    return theirs.group(1).decode() if theirs else "", found.group(2).decode()


# -- the run


def rows(file: Path) -> Iterator[tuple[str, str, str, str]]:
    """What a task is given: client id, recipient, sender, text."""
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["client_id"], row["recipient"], row["sender"], row["text"]


def produce(file: Path, put: Callable[[str, str, str, str], object]) -> None:
    """Put a task for each row, once told to begin."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for row in rows(file):
        put(*row)


def run(place: Installation, way: Way, file: Path, count: int) -> float:
    """Seconds from the first row read to the last message final."""
    environment = {
        **place.environment,
        "TODAY_DATABASE": place.addresses.database_url,
        "TODAY_BROKER": place.addresses.broker_url,
        "TODAY_REDIS": place.addresses.redis_url,
        "TODAY_URL": place.url,
    }
    producer = (sys.executable, "-m", way.module, str(file))
    with (
        place.postgres() as connection,
        _workers(way, environment, place.folder),
        subprocess.Popen(producer, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it,
    ):
        connection.execute(TABLE)
        assert it.stdout is not None
        assert it.stdout.readline() == b"ready\n"
        [(began,)] = connection.execute("SELECT clock_timestamp()")
        it.communicate(b"begin\n")
        await_ended(lambda: _ended(connection), count)
        [(last,)] = connection.execute("SELECT max(finalized_at) FROM today")
    place.check(count)
    seconds: float = (last - began).total_seconds()
    return seconds


@contextmanager
def _workers(way: Way, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Two processes, once both have said that they are ready."""
    with ExitStack() as stack:
        for number in range(2):
            log = folder / f"{way.name}-{number}.log"
            said = stack.enter_context(log.open("wb"))
            name = ("-n", f"today{number}@%h") if way is CELERY else ()
            process = subprocess.Popen(
                (sys.executable, "-m", *way.workers, *name), env=environment, stdout=said, stderr=said
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            _await_ready(way, process, log)
        yield


def _await_ready(way: Way, process: "subprocess.Popen[bytes]", log: Path) -> None:
    eventually(lambda: b"ready" in log.read_bytes() or process.poll() is not None)
    if process.poll() is not None:
        raise RuntimeError(f"{way.name} did not start: {log.read_text()[-500:]}")


def _ended(connection: Any) -> int:
    [(count,)] = connection.execute("SELECT count(*) FROM today WHERE finalized_at IS NOT NULL")
    return int(count)
