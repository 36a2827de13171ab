"""Every transition of a message, and every one that is none, on a real PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import Limits, PackageState
from bulk_dispatch.domain.status import FINAL, TRANSITIONS, EventType, Status, sources, transitions_of
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.transitions import ClaimRequest, Read, Transition, cancel, claim, read, settle
from bulk_dispatch.ledger.transitions.transition import apply as make_moves
from tests.factories import message
from tests.ledger.book import LEASE, LONG_AGO, LOOK, Book

WRITERS = (
    EventType.CLAIM,
    EventType.CANCEL,
    EventType.SETTLE,
    EventType.REPORT,
    EventType.READ,
    EventType.COLLIDE,
)
SECOND = Limits(items=1, octets=10**6)


def walkers(from_status: Status) -> dict[Status, Message]:
    """A message for each target, on a route of its own: a claim can then be for it alone."""
    late = LONG_AGO if from_status is Status.EXPIRED else None
    return {
        to_status: message(number, route=f"to-{to_status}", valid_until=late)
        for number, to_status in enumerate(Status, 1)
    }


def attempt(connection: Connection, event_type: EventType, row: Any, to_status: Status) -> None:
    """Try to move one message. By its own function if there is one for that; else by its statement."""
    move = Transition(row.id, row.package_id, to_status)
    looks = {row.package_id: LOOK} if row.package_id else {}
    if event_type is EventType.SETTLE:
        settle(connection, [move], looks)
    elif event_type is EventType.REPORT:
        settle(connection, [], looks, news=[move])
    elif event_type is EventType.READ:
        read(connection, [Read(row.id)] if to_status is Status.DELIVERED else [])
    elif event_type is EventType.CANCEL and to_status is Status.CANCELLED:
        cancel(connection, [row.client_id])
    elif event_type is EventType.CLAIM and to_status in (Status.SENDING, Status.EXPIRED):
        if to_status is Status.EXPIRED:
            spoil = text("UPDATE messages SET valid_until = now() - interval '1 second' WHERE id = :id")
            connection.execute(spoil, {"id": row.id})
        claim(connection, ClaimRequest(row.route, SECOND, parallel=100, lease=LEASE), Lane.BULK)
    else:
        make_moves(connection, event_type, [move])


def differing(before: dict[int, Any], after: dict[int, Any]) -> list[int]:
    """The messages whose row is another now; being too late is the test's own doing."""

    def told(row: Any) -> dict[str, Any]:
        return {**row._mapping, "valid_until": None}

    assert after.keys() == before.keys()
    return [number for number in after if told(after[number]) != told(before[number])]


def test_the_matrix_knows_every_event_type_that_writes() -> None:
    assert {*WRITERS, EventType.ENQUEUE} == set(EventType)


@pytest.mark.parametrize("from_status", Status)
@pytest.mark.parametrize("event_type", WRITERS)
def test_a_event_type_makes_its_moves_with_one_event_each_and_no_others(
    book: Book, event_type: EventType, from_status: Status
) -> None:
    offered = walkers(from_status)
    book.bring(list(offered.values()), from_status)
    assert set(book.statuses().values()) == {from_status}
    book.do(register_routes, [walker.route for walker in offered.values()])

    for to_status, walker in offered.items():
        before, last = book.messages(), book.events()[-1].id
        [row] = [row for row in before.values() if row.client_id == walker.client_id]

        book.do(attempt, event_type, row, to_status)

        after, added = book.messages(), book.events(after=last)
        if (from_status, to_status) in transitions_of(event_type):
            assert differing(before, after) == [row.id], f"{from_status} by {event_type} to {to_status}"
            assert after[row.id].status == to_status
            assert [(e.message_id, e.type, e.from_status, e.to_status) for e in added] == [
                (row.id, event_type, from_status, to_status)
            ]
        else:
            assert differing(before, after) == [], f"{from_status} by {event_type} to {to_status}"
            assert added == []
    assert book.books().balanced


@pytest.mark.parametrize("from_status", Status)
def test_a_message_enqueued_again_stays_where_it_is(book: Book, from_status: Status) -> None:
    offered = list(walkers(from_status).values())
    book.bring(offered, from_status)
    rows, events = book.messages(), book.events()

    again = book.enqueue(offered)

    assert (again.new, again.duplicates, again.conflicts) == (0, len(offered), ())
    assert book.messages() == rows
    assert book.events() == events


@pytest.mark.parametrize("from_status", sorted(FINAL))
def test_a_final_status_is_stamped_with_its_instant(book: Book, from_status: Status) -> None:
    before = book.one("SELECT now()")

    book.bring(list(walkers(from_status).values()), from_status)

    assert all(before <= row.finalized_at for row in book.messages().values())


# -- what the database itself refuses ----------------------------------------------------------------


@pytest.fixture
def refusing(ledger: Ledger) -> Iterator[Connection]:
    """A connection to try inserts on; whatever the database takes is rolled back."""
    with ledger.begin() as connection:
        yield connection


def accepted(connection: Connection, statement: str, values: dict[str, Any]) -> bool:
    """Whether the database takes it."""
    attempted = connection.begin_nested()
    try:
        connection.execute(text(statement), values)
    except IntegrityError:
        return False
    finally:
        attempted.rollback()
    return True


@pytest.mark.slow
def test_the_database_takes_events_on_the_transition_and_no_others(refusing: Connection) -> None:
    insert = (
        "INSERT INTO journal (message_ids, message_count, type, from_status, to_status) "
        "VALUES ('{1}', 1, :type, :from_status, :to_status)"
    )
    on_the_transition = {
        (event_type, from_status, to_status)
        for event_type in EventType
        for from_status, to_status in transitions_of(event_type)
    }

    taken = {
        (event_type, from_status, to_status)
        for event_type, from_status, to_status in product(EventType, [None, *Status], Status)
        if accepted(
            refusing, insert, {"type": event_type, "from_status": from_status, "to_status": to_status}
        )
    }

    assert len(on_the_transition) == sum(
        len(targets) for event_type in TRANSITIONS.values() for targets in event_type.values()
    )
    assert taken - on_the_transition == set()
    assert on_the_transition - taken == set()


@pytest.mark.parametrize(
    ("event_type", "from_status", "to_status"),
    [("resurrect", "queued", "sending"), ("claim", "lost", "sending"), ("claim", "queued", "lost")],
)
def test_the_database_refuses_events_in_words_it_does_not_know(
    refusing: Connection, event_type: str, from_status: str, to_status: str
) -> None:
    insert = (
        "INSERT INTO journal (message_ids, message_count, type, from_status, to_status) "
        "VALUES ('{1}', 1, :type, :from_status, :to_status)"
    )

    assert not accepted(
        refusing, insert, {"type": event_type, "from_status": from_status, "to_status": to_status}
    )


NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = {
    "flow_id": 0,
    "client_id": "a",
    "status": "queued",
    "due_at": NOW,
    "finalized_at": None,
    "package_id": None,
    "lane": "bulk",
    "kind": "sms",
    "route": "alpha",
    "recipient": "+380930000001",
    "sender": "Shop",
    "text": "Hello",
}
PACKAGE = {
    "route": "alpha",
    "lane": "bulk",
    "state": "open",
    "message_count": 1,
    "rescue_at": NOW,
    "job": None,
}
ROUTE_ROW = {"name": "alpha", "state": "active", "paused_until": None}


def insert(table: str, values: dict[str, Any]) -> Callable[[Connection], bool]:
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    return lambda connection: accepted(
        connection, f"INSERT INTO {table} ({names}) VALUES ({marks})", dict(values)
    )


def stands(status: Status) -> dict[str, Any]:
    """A message as the transitions would leave it in a status."""
    return {
        **MESSAGE,
        "status": status.value,
        "due_at": NOW if status is Status.QUEUED else None,
        "finalized_at": NOW if status in FINAL else None,
        "package_id": 1 if status in (Status.SENDING, Status.SENT, Status.IN_DOUBT) else None,
    }


def refused(table: str, base: dict[str, Any], *changes: dict[str, Any]) -> list[Any]:
    return [pytest.param(table, {**base, **change}, id=f"{table}: {_words(change)}") for change in changes]


def _words(change: dict[str, Any]) -> str:
    return " ".join(f"{name}={'set' if value is NOW else value}" for name, value in change.items())


REFUSED: Sequence[Any] = [
    *refused(
        "messages",
        MESSAGE,
        {"status": "lost"},
        {"status": "QUEUED"},
        {"status": ""},
        {"status": None},
        {"lane": "slow"},
        {"lane": None},
        {"kind": "fax"},
        {"kind": None},
        {"client_id": None},
        {"route": None},
        {"recipient": None},
        {"sender": None},
        {"text": None},
        {"due_at": None},
        {"package_id": 1},
        {"finalized_at": NOW},
    ),
    *(
        pytest.param("messages", {**stands(status), "finalized_at": None}, id=f"{status} with no end")
        for status in sorted(FINAL)
    ),
    *(
        pytest.param("messages", {**stands(status), "finalized_at": NOW}, id=f"{status} with an end")
        for status in Status
        if status not in FINAL
    ),
    *(
        pytest.param("messages", {**stands(status), "due_at": NOW}, id=f"{status} and due")
        for status in Status
        if status is not Status.QUEUED
    ),
    *(
        pytest.param("messages", {**stands(status), "package_id": None}, id=f"{status} without a package")
        for status in (Status.SENDING, Status.SENT, Status.IN_DOUBT)
    ),
    *refused(
        "packages",
        PACKAGE,
        {"state": "lost"},
        {"state": None},
        {"rescue_at": None},
        {"state": "job"},
        {"message_count": None},
        {"route": None},
    ),
    *refused(
        "routes",
        ROUTE_ROW,
        {"state": "closed"},
        {"state": None},
        {"state": "paused"},
        {"paused_until": NOW},
        {"state": "stopped", "paused_until": NOW},
        {"name": None},
    ),
]


@pytest.mark.parametrize(("table", "values"), REFUSED)
def test_the_database_refuses_what_no_transition_would_write(
    refusing: Connection, table: str, values: dict[str, Any]
) -> None:
    assert not insert(table, values)(refusing)


@pytest.mark.parametrize("status", Status)
def test_the_database_takes_a_message_as_the_event_type_leave_it(
    refusing: Connection, status: Status
) -> None:
    assert insert("messages", stands(status))(refusing)


@pytest.mark.parametrize("state", PackageState)
def test_the_database_takes_a_package_in_every_state(refusing: Connection, state: PackageState) -> None:
    assert insert("packages", {**PACKAGE, "state": state.value, "job": "job-1"})(refusing)


@pytest.mark.parametrize(
    ("state", "until"),
    [("active", None), ("paused", NOW), ("stopped", None)],
    ids=["active", "paused", "stopped"],
)
def test_the_database_takes_a_route_in_every_state(
    refusing: Connection, state: str, until: datetime | None
) -> None:
    assert insert("routes", {**ROUTE_ROW, "state": state, "paused_until": until})(refusing)


@pytest.mark.parametrize(
    ("table", "values"), [("messages", MESSAGE), ("routes", ROUTE_ROW)], ids=["client id", "route"]
)
def test_the_database_refuses_the_same_name_twice(book: Book, table: str, values: dict[str, Any]) -> None:
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    book.rows(f"INSERT INTO {table} ({names}) VALUES ({marks})", **values)

    with pytest.raises(IntegrityError, match="duplicate key"):
        book.rows(f"INSERT INTO {table} ({names}) VALUES ({marks})", **values)


def test_the_table_of_sources_is_the_table_of_transitions() -> None:
    for event_type, to_status in product(EventType, Status):
        expected = {from_status for from_status, to in transitions_of(event_type) if to is to_status}
        assert sources(event_type, to_status) == expected
