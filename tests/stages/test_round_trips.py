"""How often each stage goes to the servers for a thousand messages: exact, and the same on every machine.

What is bulk work today must not become work a message tomorrow. A number here may go down; whoever needs one
to go up says why.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger.receipts import name_messages
from bulk_dispatch.stages.receipts import match, take
from tests.factories import messages
from tests.stages.world import OpenWorld, World

COUNT = 1000
WIDE = {"package_items": COUNT, "status_items": COUNT}


class Trips(dict[str, int]):
    """`statements` and `commits` in PostgreSQL, `commands` in Redis, `requests` to the provider."""


@contextmanager
def counted(world: World) -> Iterator[Trips]:
    """Counts while it is open."""
    trips = Trips(statements=0, commits=0)
    engine = world.runtime.ledger.engine

    def statement(_: Any, __: Any, ___: Any, values: Any, ____: Any, many: bool) -> None:
        trips["statements"] += len(values) if many else 1

    def commit(*_: Any) -> None:
        trips["commits"] += 1

    commands, requests = _commands(world), _requests(world)
    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    try:
        yield trips
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)
    trips["commands"] = _commands(world) - commands - 1  # that question was one
    trips["requests"] = _requests(world) - requests


def _commands(world: World) -> int:
    return int(world.runtime.intake.client.info("stats")["total_commands_processed"])


def _requests(world: World) -> int:
    return sum(world.provider.see("counts")["requests"].values())


@pytest.fixture
def wide(open_world: OpenWorld) -> World:
    """A route that takes a thousand at once."""
    return open_world(alpha=WIDE)


def test_ingest(wide: World) -> None:
    first, *offered = messages(1 + COUNT)
    wide.runtime.intake.add(first.lane, [first])
    wide.ingest()  # the first of all makes the group of readers
    for start in range(0, COUNT, CHUNK):
        wide.runtime.intake.add(first.lane, offered[start : start + CHUNK])
    with counted(wide) as trips:
        assert wide.ingest().new == COUNT
    # The last of these commands asks what was set aside, once a step.
    assert trips == {"statements": 1, "commits": 1, "commands": 10, "requests": 0}


def test_ingest_of_messages_that_came_one_by_one(wide: World) -> None:
    for one in messages(100):
        wide.runtime.intake.add(one.lane, [one])
    with counted(wide) as trips:
        assert wide.ingest().new == 100
    assert trips["statements"] == trips["commits"] == 1


def test_an_entry_of_the_intake(wide: World) -> None:
    intake = Intake.connect(wide.runtime.settings.redis_url)
    assert intake.waiting()[Lane.BULK] == 0  # connects
    wide.runtime.intake.add(Lane.BULK, messages(1))  # the first of all tells Redis the script
    with counted(wide) as trips:
        intake.add(Lane.BULK, messages(CHUNK))
    intake.close()
    # Whether there is room, asked once a second; and a script, which adds the entry and its count and leaves
    # a token. Redis counts what a script does, too.
    assert trips == {"statements": 0, "commits": 0, "commands": 6, "requests": 0}


def test_dispatch(wide: World) -> None:
    wide.enqueue(messages(COUNT))
    with counted(wide) as trips:
        assert wide.dispatch().messages == COUNT
    # Claim (its turn, pick, lock the route, move), settle, and a claim that finds nothing more: 4, 4 and 3.
    assert trips == {"statements": 11, "commits": 3, "commands": 0, "requests": 1}


def test_poll(wide: World) -> None:
    wide.enqueue(messages(COUNT))
    wide.dispatch()
    wide.provider.settle_down()
    wide.passes(minutes=1)
    with counted(wide) as trips:
        assert wide.poll().final == COUNT
    # Lease, what they refuse to be asked, look what is open, lock, report, restate; a lease that finds
    # nothing, and when there is more.
    assert trips == {"statements": 9, "commits": 4, "commands": 0, "requests": 1}
    assert wide.statuses() == {Status.DELIVERED: COUNT}


def test_rescue(wide: World) -> None:
    wide.enqueue(messages(COUNT))
    wide.provider.script({"do": "drop_after", "times": 1})
    wide.dispatch()
    wide.provider.settle_down()
    wide.passes(seconds=6)
    with counted(wide) as trips:
        assert wide.rescue().taken == COUNT
    # Look for lapsed leases, what they refuse to be asked, lease, look what is in doubt; lock, settle,
    # report, restate, count the question.
    assert trips == {"statements": 9, "commits": 3, "commands": 0, "requests": 1}
    assert wide.statuses() == {Status.DELIVERED: COUNT}


@pytest.fixture
def pushing(open_world: OpenWorld) -> World:
    """A thousand messages sent to a provider that pushes receipts."""
    world = open_world(webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(COUNT, route="webcom"))
    world.dispatch("webcom")
    assert world.statuses() == {Status.SENT: COUNT}
    return world


def test_receipts(pushing: World) -> None:
    told = [
        DeliveryReceipt(row.provider_message_id, Status.DELIVERED, "deliver", datetime.now(UTC))
        for row in pushing.rows("SELECT provider_message_id FROM messages")
    ]
    with counted(pushing) as trips:
        assert take(pushing.runtime.ledger, pushing.runtime.routes, {"webcom": told}).ended == COUNT
    # Look whom they name, lock, report, see whose package is all told, restate.
    assert trips == {"statements": 5, "commits": 1, "commands": 0, "requests": 0}


@pytest.mark.slow
def test_receipts_that_came_too_early(pushing: World) -> None:
    ids = [row.id for row in pushing.rows("SELECT id FROM messages")]
    told = [DeliveryReceipt(f"early-{id_}", Status.DELIVERED, "deliver", datetime.now(UTC)) for id_ in ids]
    with counted(pushing) as trips:
        assert take(pushing.runtime.ledger, pushing.runtime.routes, {"webcom": told}).kept == COUNT
    # Look whom they name, and keep them.
    assert trips == {"statements": 2, "commits": 1, "commands": 0, "requests": 0}

    with pushing.runtime.ledger.begin() as connection:
        name_messages(connection, "webcom", [(f"early-{id_}", id_) for id_ in ids])
    with counted(pushing) as trips:
        assert match(pushing.runtime, "webcom").ended == COUNT
    # Take them out, write them down like those in time, and forget what is too old or too much.
    assert trips == {"statements": 8, "commits": 2, "commands": 0, "requests": 0}
