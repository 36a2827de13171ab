"""Dispatcher: what an application holds, and what it may rely on."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch import ClientIdConflict, Dispatcher, EnqueueError, Lane, Message, MessageError
from bulk_dispatch.client import HIGH_WATER
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.queries import books, by_status
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.local.wait import wait_until
from bulk_dispatch.messaging.celery_app import QUEUES
from tests.conftest import Setup
from tests.factories import message, messages

NEVER = timedelta(hours=1)
PATIENCE = timedelta(seconds=20)
URL = "https://alphasms.net"
ROUTE: dict[str, object] = {"url": URL}
AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def settings(setup: Setup) -> Settings:
    """One route, named alpha."""
    return setup.routes(alpha=ROUTE)


@pytest.fixture
def dispatcher(settings: Settings) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(settings)
    yield dispatcher
    dispatcher.close()


def waiting(intake: Intake, lane: Lane = Lane.BULK) -> list[list[Message]]:
    """The messages in a lane's stream, entry by entry."""
    return [
        [Message.from_dict(raw) for raw in entry.messages]  # type: ignore[arg-type]
        for entry in intake.read(lane, 1000, NEVER)
    ]


def wakeups(intake: Intake) -> list[tuple[str, list[str]]]:
    """The wake-ups that lie in the broker, in the next database: queue and task, and its arguments."""
    found = []
    with intake.client.client() as client:  # type: ignore[no-untyped-call]
        client.execute_command("SELECT", 1)
        for queue in QUEUES:
            for raw in client.lrange(queue, 0, -1):
                task = json.loads(raw)
                arguments, _, _ = json.loads(base64.b64decode(task["body"]))
                found.append((f"{queue} {task['headers']['task']}", arguments))
        client.execute_command("SELECT", 0)
    return found


# -- importing -------------------------------------------------------------------------------------------

HEAVY = ("celery", "kombu", "sqlalchemy", "psycopg", "redis", "httpx", "lxml", "alembic", "typer", "rich")


def loaded_by(script: str) -> set[str]:
    """The heavy libraries in a fresh Python after a script."""
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)} & set(HEAVY)


def test_importing_us_loads_nothing_heavy() -> None:
    assert loaded_by("import bulk_dispatch") == set()


def test_making_messages_and_a_dispatcher_loads_nothing_heavy() -> None:
    script = """
from bulk_dispatch import *
from bulk_dispatch.config.settings import Settings
Message(client_id="a", recipient="+380931110001", sender="Shop", text="Hello")
Dispatcher(Settings()).close()
"""
    assert loaded_by(script) == set()


def test_everything_an_application_needs_is_in_one_place() -> None:
    import bulk_dispatch

    assert set(bulk_dispatch.__all__) == {
        "ClientIdConflict",
        "Dispatcher",
        "DoubtPolicy",
        "EnqueueError",
        "Flash",
        "FsyncUnconfirmedError",
        "Kind",
        "Lane",
        "Message",
        "MessageError",
        "Ping",
        "Sms",
        "VCard",
        "Viber",
        "ViberSms",
        "Voice",
        "WapPush",
        "__version__",
    }


# -- enqueue ---------------------------------------------------------------------------------------------


def test_a_message_enqueued_is_an_entry_in_its_lanes_stream(dispatcher: Dispatcher, intake: Intake) -> None:
    dispatcher.enqueue(message(1))
    dispatcher.enqueue(message(2, lane=Lane.URGENT))

    assert waiting(intake) == [[message(1)]]
    assert waiting(intake, Lane.URGENT) == [[message(2, lane=Lane.URGENT)]]
    assert intake.waiting() == {Lane.URGENT: 1, Lane.BULK: 1}


def test_a_message_without_a_route_takes_the_only_one(dispatcher: Dispatcher, intake: Intake) -> None:
    dispatcher.enqueue(message(1, route=""))

    assert waiting(intake) == [[message(1, route="alpha")]]


@pytest.mark.parametrize("named", ["", "gamma"], ids=["none named", "unknown"])
def test_with_two_routes_one_of_them_must_be_named(setup: Setup, intake: Intake, named: str) -> None:
    dispatcher = Dispatcher(setup.routes(alpha=ROUTE, beta={"url": URL, "mode": "async"}))

    with pytest.raises(MessageError) as caught:
        dispatcher.enqueue(message(1, route=named))

    assert (caught.value.field, caught.value.shown) == ("route", repr(named))
    assert "must be one of alpha, beta" in str(caught.value)
    assert intake.waiting()[Lane.BULK] == 0
    dispatcher.enqueue(message(1, route="beta"))
    assert waiting(intake) == [[message(1, route="beta")]]
    dispatcher.close()


def test_with_one_route_another_may_not_be_named(dispatcher: Dispatcher) -> None:
    with pytest.raises(MessageError, match="route: must be one of alpha, got 'gamma'"):
        dispatcher.enqueue(message(1, route="gamma"))


def test_what_the_routes_provider_cannot_carry_is_refused_at_once(
    dispatcher: Dispatcher, intake: Intake
) -> None:
    with pytest.raises(MessageError) as caught:
        dispatcher.enqueue(message(1, sender="ElevenAndOne"))

    assert caught.value.field == "sender"
    assert intake.waiting()[Lane.BULK] == 0


def test_a_dispatcher_is_shared_between_threads(dispatcher: Dispatcher, intake: Intake) -> None:
    batches = [messages(50, campaign=f"thread-{number}") for number in range(8)]

    def work(batch: list[Message]) -> None:
        for number, each in enumerate(batch):
            dispatcher.enqueue(replace(each, client_id=f"{each.campaign}-{number}"))

    threads = [threading.Thread(target=work, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({m.client_id for [m] in waiting(intake)}) == 400


def test_closing_lets_go_of_all_that_was_opened(dispatcher: Dispatcher, ledger: Ledger) -> None:
    before = set(vars(dispatcher))
    dispatcher.enqueue(message(1))
    dispatcher.status("client-1")
    assert {"_intake", "_notifier", "_ledger"} <= vars(dispatcher).keys() - before

    dispatcher.close()

    assert not {"_intake", "_notifier", "_ledger"} & vars(dispatcher).keys()


def test_a_closed_dispatcher_opens_again_when_used(dispatcher: Dispatcher, intake: Intake) -> None:
    dispatcher.enqueue(message(1))
    dispatcher.close()
    dispatcher.close()

    dispatcher.enqueue(message(2))

    assert waiting(intake) == [[message(1)], [message(2)]]


# -- many ------------------------------------------------------------------------------------------------


def test_many_messages_travel_in_entries_of_bounded_size_and_in_order(
    dispatcher: Dispatcher, intake: Intake
) -> None:
    told: list[int] = []

    assert dispatcher.enqueue_many(messages(2 * CHUNK + 7), progress=told.append) == 2 * CHUNK + 7

    entries = waiting(intake)
    assert [len(entry) for entry in entries] == [CHUNK, CHUNK, 7]
    assert [m for entry in entries for m in entry] == messages(2 * CHUNK + 7)
    assert told == [CHUNK, 2 * CHUNK, 2 * CHUNK + 7]


def test_many_messages_of_both_lanes_each_go_to_their_own(dispatcher: Dispatcher, intake: Intake) -> None:
    mixed = [message(n, lane=Lane.URGENT if n % 3 == 0 else Lane.BULK) for n in range(1, 31)]

    assert dispatcher.enqueue_many(mixed) == 30

    assert waiting(intake) == [[m for m in mixed if m.lane is Lane.BULK]]
    assert waiting(intake, Lane.URGENT) == [[m for m in mixed if m.lane is Lane.URGENT]]


def test_no_messages_are_no_entries(dispatcher: Dispatcher, intake: Intake) -> None:
    assert dispatcher.enqueue_many([]) == 0
    assert waiting(intake) == []


def test_a_stream_of_messages_is_taken_as_it_is_handed_over(dispatcher: Dispatcher, intake: Intake) -> None:
    """Never more than one entry is held: a million rows need no more memory than five hundred."""
    ahead: list[int] = []

    def stream() -> Iterator[Message]:
        for number in range(1, 4 * CHUNK + 1):
            if number % CHUNK == 0:
                ahead.append(number - intake.waiting()[Lane.BULK])
            yield message(number)

    dispatcher.enqueue_many(stream())

    assert ahead == [CHUNK] * 4


@pytest.mark.parametrize("good", [0, 3, CHUNK, CHUNK + 3])
def test_messages_before_one_at_fault_are_handed_over(
    dispatcher: Dispatcher, intake: Intake, good: int
) -> None:
    bad = message(0, sender="ElevenAndOne")

    with pytest.raises(MessageError, match="sender"):
        dispatcher.enqueue_many([*messages(good), bad, message(good + 1)])

    assert [m for entry in waiting(intake) for m in entry] == messages(good)


def test_messages_before_an_error_of_the_callers_own_are_handed_over(
    dispatcher: Dispatcher, intake: Intake
) -> None:
    def stream() -> Iterator[Message]:
        yield from messages(3)
        raise LookupError("the file ends here")

    with pytest.raises(LookupError, match="ends here"):
        dispatcher.enqueue_many(stream())

    assert waiting(intake) == [messages(3)]


def fill(intake: Intake, lane: Lane = Lane.BULK) -> None:
    """As many messages ahead as a producer may put there."""
    body = json.dumps([each.as_dict() for each in messages(CHUNK)])
    with intake.client.pipeline() as pipe:
        for _ in range(HIGH_WATER // CHUNK):
            pipe.xadd(f"worker:intake:{lane.value}", {"n": CHUNK, "m": body})
        pipe.incrby(f"worker:intake:{lane.value}:waiting", HIGH_WATER)
        pipe.execute()


def test_a_producer_waits_while_too_many_are_ahead(dispatcher: Dispatcher, intake: Intake) -> None:
    fill(intake)
    handed = threading.Event()

    def produce() -> None:
        dispatcher.enqueue_many([message(1, text="the last")])
        handed.set()

    producer = threading.Thread(target=produce)
    producer.start()
    # It has notified a worker, so it is waiting; and the stream is not longer than it was.
    assert wait_until(lambda: bool(intake.client.exists("worker:wakeup:ingest:bulk")), PATIENCE)
    assert not handed.is_set()
    assert intake.client.xlen("worker:intake:bulk") == HIGH_WATER // CHUNK

    intake.done(Lane.BULK, intake.read(Lane.BULK, 1, NEVER))

    assert handed.wait(PATIENCE.total_seconds())
    producer.join()
    assert intake.waiting()[Lane.BULK] == HIGH_WATER - CHUNK + 1


def test_producers_that_all_saw_room_for_one_wait_for_it_and_none_is_refused(
    dispatcher: Dispatcher, intake: Intake
) -> None:
    crowd = 30
    counted = "worker:intake:urgent:waiting"
    intake.client.set(counted, HIGH_WATER - 1)
    together = threading.Barrier(crowd)
    failed: list[Exception] = []

    def produce() -> None:
        together.wait()
        try:
            dispatcher.enqueue_many([message(1, lane=Lane.URGENT)])
        except Exception as problem:
            failed.append(problem)

    producers = [threading.Thread(target=produce) for _ in range(crowd)]
    for producer in producers:
        producer.start()
    while any(producer.is_alive() for producer in producers):
        wait_until(lambda: intake.client.get(counted) == str(HIGH_WATER), timedelta(seconds=1))
        intake.client.set(counted, HIGH_WATER - 1)  # one is taken

    assert failed == []
    assert intake.client.xlen("worker:intake:urgent") == crowd


def test_urgent_messages_do_not_wait_for_bulk_ones(dispatcher: Dispatcher, intake: Intake) -> None:
    fill(intake)

    assert dispatcher.enqueue_many([message(1, lane=Lane.URGENT)]) == 1


def test_a_single_message_does_not_wait(dispatcher: Dispatcher, intake: Intake) -> None:
    """Waiting would be a surprise in the midst of somebody's web request."""
    fill(intake)

    dispatcher.enqueue(message(1))

    assert intake.waiting()[Lane.BULK] == HIGH_WATER + 1


# -- inside the caller's transaction -----------------------------------------------------------------------


def test_a_message_in_the_callers_transaction_exists_once_it_is_committed(
    dispatcher: Dispatcher, ledger: Ledger, intake: Intake
) -> None:
    with ledger.engine.begin() as connection:
        dispatcher.enqueue(message(1, route=""), connection=connection)
        with ledger.begin() as other:
            assert by_status(other) == {}

    with ledger.begin() as connection:
        assert by_status(connection) == {Status.QUEUED: 1}
        assert books(connection).balanced
    found = dispatcher.status("client-1")
    assert found is not None
    assert (found.status, found.route) == (Status.QUEUED, "alpha")
    assert intake.waiting() == {Lane.URGENT: 0, Lane.BULK: 0}


def test_a_message_in_a_transaction_that_is_rolled_back_never_existed(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    with ledger.engine.connect() as connection:
        dispatcher.enqueue(message(1), connection=connection)
        connection.rollback()

    assert dispatcher.status("client-1") is None
    with ledger.begin() as connection:
        assert books(connection).total == 0


def test_a_message_in_the_callers_transaction_twice_is_one(dispatcher: Dispatcher, ledger: Ledger) -> None:
    for _ in range(2):
        with ledger.engine.begin() as connection:
            dispatcher.enqueue(message(1), connection=connection)
            dispatcher.enqueue(message(1), connection=connection)

    with ledger.begin() as connection:
        assert (books(connection).total, books(connection).duplicates) == (1, 3)


def test_a_conflict_in_the_callers_transaction_names_the_fields(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    with ledger.engine.begin() as connection:
        dispatcher.enqueue(message(1), connection=connection)

    with pytest.raises(ClientIdConflict) as caught, ledger.engine.begin() as connection:
        dispatcher.enqueue(message(1, text="Other", sender="Else"), connection=connection)

    assert caught.value.differences == ("sender", "text")
    assert (caught.value.field, caught.value.shown) == ("client_id", "'client-1'")
    assert "sender, text" in str(caught.value)
    with ledger.begin() as connection:
        assert (books(connection).total, books(connection).balanced) == (1, True)


def test_a_conflict_that_the_caller_lives_with_is_recorded(dispatcher: Dispatcher, ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        dispatcher.enqueue(message(1), connection=connection)
        with pytest.raises(ClientIdConflict):
            dispatcher.enqueue(message(1, text="Other"), connection=connection)
        dispatcher.enqueue(message(2), connection=connection)

    with ledger.begin() as connection:
        assert (books(connection).total, books(connection).conflicts) == (2, 1)


def test_an_unfit_message_leaves_the_callers_transaction_in_order(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    with ledger.engine.begin() as connection:
        with pytest.raises(MessageError):
            dispatcher.enqueue(message(1, route="gamma"), connection=connection)
        dispatcher.enqueue(message(2), connection=connection)

    assert dispatcher.status("client-2") is not None


# -- the wake-up -----------------------------------------------------------------------------------------


def test_an_enqueue_notifies_its_lane(dispatcher: Dispatcher, intake: Intake) -> None:
    for number in range(5):
        dispatcher.enqueue(message(number))  # one wake-up for all: nobody has acknowledged yet
    dispatcher.enqueue(message(6, lane=Lane.URGENT))

    assert sorted(wakeups(intake)) == [
        ("bulk bulk_dispatch.ingest", ["bulk"]),
        ("urgent bulk_dispatch.ingest", ["urgent"]),
    ]


def test_after_a_commit_the_caller_notifies_for_the_message(dispatcher: Dispatcher, intake: Intake) -> None:
    dispatcher.notify(message(1, route="", lane=Lane.URGENT))

    assert wakeups(intake) == [("urgent bulk_dispatch.dispatch", ["alpha", "urgent"])]


def test_after_a_commit_of_many_the_caller_notifies_for_all(setup: Setup, intake: Intake) -> None:
    dispatcher = Dispatcher(setup.routes(alpha=ROUTE, beta={"url": URL, "mode": "async"}))

    dispatcher.notify()

    assert len(wakeups(intake)) == 4
    dispatcher.close()


def test_a_broker_that_is_away_does_not_fail_an_enqueue(
    settings: Settings, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = Dispatcher(replace(settings, broker_url="redis+socket:///nonexistent/redis.sock"))

    dispatcher.enqueue(message(1))

    assert waiting(intake) == [[message(1)]]
    assert [record.getMessage().split()[0] for record in caplog.records] == ["wakeup_not_sent"]
    dispatcher.close()


def test_a_broker_that_is_away_does_not_hold_up_an_enqueue(settings: Settings, intake: Intake) -> None:
    """Somebody's web request waits for this, and the message is in Redis already."""
    dispatcher = Dispatcher(replace(settings, broker_url=AWAY))
    began = time.monotonic()

    dispatcher.enqueue(message(1))

    assert time.monotonic() - began < 3
    assert waiting(intake) == [[message(1)]]
    dispatcher.close()


# -- nobody there ----------------------------------------------------------------------------------------


@pytest.fixture
def stranded(settings: Settings) -> Iterator[Dispatcher]:
    """A dispatcher whose Redis is away."""
    dispatcher = Dispatcher(replace(settings, redis_url=AWAY, broker_url=AWAY))
    yield dispatcher
    dispatcher.close()


@pytest.mark.slow
def test_a_redis_that_is_away_is_an_error_that_says_so(stranded: Dispatcher) -> None:
    with pytest.raises(EnqueueError) as caught:
        stranded.enqueue(message(1))

    assert str(caught.value).startswith("1 messages not handed over: Redis cannot be reached")
    assert message(1).text not in str(caught.value)


@pytest.mark.slow
def test_a_redis_that_is_away_is_the_same_error_for_many(stranded: Dispatcher) -> None:
    with pytest.raises(EnqueueError, match="not handed over: Redis cannot be reached"):
        stranded.enqueue_many(messages(3))


def test_the_callers_transaction_needs_no_redis(stranded: Dispatcher, ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        stranded.enqueue(message(1), connection=connection)
    stranded.notify(message(1))  # says nothing, like every wake-up that nobody takes

    assert stranded.status("client-1") is not None


def test_an_address_that_is_none_is_the_same_error_without_a_credential(settings: Settings) -> None:
    dispatcher = Dispatcher(replace(settings, redis_url="redis://:s3cret@127.0.0.1:port/0"))

    with pytest.raises(EnqueueError) as caught:
        dispatcher.enqueue(message(1))

    assert "s3cret" not in str(caught.value)
    dispatcher.close()


# -- status ----------------------------------------------------------------------------------------------


def test_the_status_of_a_message_comes_from_the_ledger(
    dispatcher: Dispatcher, ledger: Ledger, intake: Intake
) -> None:
    dispatcher.enqueue(message(1))
    assert dispatcher.status("client-1") is None  # still in Redis
    with ledger.begin() as connection:
        enqueue(connection, [m for entry in waiting(intake) for m in entry])

    found = dispatcher.status("client-1")

    assert found is not None
    assert (found.client_id, found.status) == ("client-1", Status.QUEUED)
    assert found.recipient == message(1).recipient
    assert [event.to_status for event in found.events] == ["queued"]
    assert dispatcher.status("never seen") is None


def test_a_ledger_that_is_away_is_an_error_that_says_so(settings: Settings) -> None:
    away = "postgresql+psycopg://anna:s3cret@127.0.0.1:1/worker"
    dispatcher = Dispatcher(replace(settings, database_url=away))

    with pytest.raises(LedgerError, match="the database cannot be reached") as caught:
        dispatcher.status("client-1")

    assert "s3cret" not in str(caught.value)
    dispatcher.close()


# -- opening ---------------------------------------------------------------------------------------------


def from_env(environ: dict[str, str]) -> str:
    """What a fresh process says that opens a dispatcher from this environment and enqueues a message."""
    script = """
from bulk_dispatch import Dispatcher, Message
try:
    dispatcher = Dispatcher.from_env()
    dispatcher.enqueue(Message(client_id="a", recipient="+380931110001", sender="Shop", text="Hello"))
    dispatcher.close()
except Exception as problem:
    print(type(problem).__name__, problem)
else:
    print("enqueued")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_an_application_opens_a_dispatcher_from_its_environment(settings: Settings, intake: Intake) -> None:
    assert from_env(settings.environment()) == "enqueued"

    [[entered]] = waiting(intake)
    assert (entered.client_id, entered.route) == ("a", "alpha")


@pytest.mark.slow
def test_an_application_needs_no_secret_to_enqueue(setup: Setup, intake: Intake) -> None:
    settings = setup.routes(alpha={"url": URL, "key": "env:NOBODY_HAS_SET_THIS"})

    assert from_env(settings.environment()) == "enqueued"


def test_without_an_environment_a_dispatcher_says_what_is_missing() -> None:
    assert from_env({}).startswith("SettingsError WORKER_DATABASE_URL and WORKER_REDIS_URL are not set")


def test_without_a_routes_file_a_dispatcher_says_where_it_looked(setup: Setup, tmp_path: Path) -> None:
    dispatcher = Dispatcher(setup.settings)

    with pytest.raises(SettingsError, match=r"no routes file at .*routes\.toml"):
        dispatcher.enqueue(message(1))
    dispatcher.close()


def test_a_dispatcher_accepts_as_it_would_enqueue(dispatcher: Dispatcher, intake: Intake) -> None:
    accepted: Any = dispatcher.accept(message(1, route=""))

    assert accepted == message(1, route="alpha")
    assert intake.waiting()[Lane.BULK] == 0


# -- producers -------------------------------------------------------------------------------------------


def test_the_status_of_one_producer_s_message_never_shows_another_s(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    with ledger.begin() as connection:
        enqueue(connection, [message(1), message(1, producer="shop", recipient="+380939990009")])

    mine, theirs = dispatcher.status("client-1"), dispatcher.status("client-1", "shop")

    assert mine
    assert theirs
    assert (mine.recipient, theirs.recipient) == (message(1).recipient, "+380939990009")
    assert dispatcher.status("client-1", "bank") is None


def test_who_asks_with_the_id_that_was_given_is_told(dispatcher: Dispatcher, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, [message(1, client_id="order-1\u200b", producer="shop ")])
        enqueue(connection, [message(1, client_id="order-1\u200b", producer="shop ", text="Other")])

    found = dispatcher.status("order-1\u200b", "shop ")

    assert found
    assert (found.client_id, found.producer) == ("order-1", "shop")
    assert [one.client_id for one in dispatcher.conflicts("shop ")] == ["order-1"]


def test_a_producer_is_told_what_was_not_sent_and_why(dispatcher: Dispatcher, ledger: Ledger) -> None:
    count = CHUNK + 5
    with ledger.begin() as connection:
        enqueue(connection, [*messages(count, producer="shop"), message(1)])
        enqueue(connection, [*messages(count, producer="shop", text="Other"), message(1, sender="Else")])

    told = list(dispatcher.conflicts("shop"))

    assert {one.client_id for one in told} == {f"client-{number}" for number in range(1, count + 1)}
    assert len(told) == count
    assert {(one.producer, one.fields) for one in told} == {("shop", ("text",))}
    assert [one.fields for one in dispatcher.conflicts()] == [("sender",)]
    assert len(list(dispatcher.conflicts("shop", limit=3))) == 3
    assert list(dispatcher.conflicts("shop", after=told[-1].at)) == []
    assert len(list(dispatcher.conflicts("shop", after=(told[-1].at - NEVER).isoformat()))) == count


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"producer": "a\nb"}, "producer"),
        ({"after": "yesterday"}, "after"),
        ({"after": "2031-01-01"}, "after"),
    ],
    ids=str,
)
def test_conflicts_asked_for_in_vain_are_refused_at_once(
    dispatcher: Dispatcher, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(MessageError, match=f"^{field}: "):
        dispatcher.conflicts(**asked)


def test_a_correction_in_the_callers_transaction_is_no_conflict(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    with ledger.begin() as connection:
        suppress(connection, [message(1).recipient])
        enqueue(connection, [message(1)])

    with ledger.engine.begin() as connection:
        dispatcher.enqueue(message(1, recipient="+380939990009"), connection=connection)

    found = dispatcher.status("client-1")
    assert found
    assert (found.status, found.corrects) == (Status.QUEUED, 1)
