"""The transitions of a message: what the one table must be true to, whatever it comes to say."""

import pytest

from bulk_dispatch.domain.status import FINAL, TRANSITIONS, EventType, Status, sources, transitions_of

ENDS = {
    Status.SUPPRESSED,
    Status.DELIVERED,
    Status.UNDELIVERABLE,
    Status.EXPIRED,
    Status.REJECTED,
    Status.CANCELLED,
    Status.FAILED,
}
OPEN = [status for status in Status if status not in ENDS]
MOVES = [
    (event_type, from_status, to_status)
    for event_type in EventType
    for from_status, to_status in transitions_of(event_type)
]
"""All of them; `read` leads nowhere."""


def leaving(status: Status) -> set[Status]:
    """The statuses one step on."""
    return {
        to_status for _, from_status, to_status in MOVES if from_status is status and to_status is not status
    }


def reachable(start: set[Status]) -> set[Status]:
    """All statuses that can be reached from these."""
    found: set[Status] = set()
    ahead = set(start)
    while ahead:
        found |= ahead
        ahead = {to_status for status in ahead for to_status in leaving(status)} - found
    return found


def test_the_table_is_that_of_the_design() -> None:
    told = {
        (from_status and from_status.value, to_status.value, event_type.value)
        for event_type, from_status, to_status in MOVES
    }
    assert told == {
        (None, "queued", "enqueue"),
        (None, "suppressed", "enqueue"),
        ("queued", "sending", "claim"),
        ("queued", "expired", "claim"),
        ("queued", "suppressed", "claim"),
        ("queued", "cancelled", "cancel"),
        ("queued", "suppressed", "cancel"),
        ("sending", "sent", "settle"),
        ("sending", "rejected", "settle"),
        ("sending", "queued", "settle"),
        ("sending", "failed", "settle"),
        ("sending", "in_doubt", "settle"),
        ("in_doubt", "sent", "settle"),
        ("in_doubt", "rejected", "settle"),
        ("in_doubt", "queued", "settle"),
        ("in_doubt", "failed", "settle"),
        ("sent", "delivered", "report"),
        ("sent", "undeliverable", "report"),
        ("sent", "expired", "report"),
        ("sent", "rejected", "report"),
        ("sent", "cancelled", "report"),
        ("sent", "unconfirmed", "report"),
        ("unconfirmed", "delivered", "report"),
        ("unconfirmed", "undeliverable", "report"),
        ("unconfirmed", "expired", "report"),
        ("unconfirmed", "rejected", "report"),
        ("delivered", "delivered", "read"),
        ("sending", "in_doubt", "collide"),
        ("in_doubt", "in_doubt", "collide"),
        ("sent", "in_doubt", "collide"),
    }


def test_finals_are_those_without_a_way_out() -> None:
    assert FINAL == ENDS
    assert all(not leaving(status) for status in FINAL)


@pytest.mark.parametrize("status", OPEN)
def test_every_open_status_leads_to_a_final_one(status: Status) -> None:
    assert reachable({status}) & FINAL


def test_only_what_says_more_of_a_message_leaves_it_where_it_is() -> None:
    assert {event_type for event_type, from_status, to_status in MOVES if from_status is to_status} == {
        EventType.READ,
        EventType.COLLIDE,
    }


def test_every_status_is_reached_from_a_new_message() -> None:
    new = {to_status for _, from_status, to_status in MOVES if from_status is None}
    assert reachable(new) == set(Status)


def test_what_was_sent_is_never_queued_again_but_by_a_person_after_a_collision() -> None:
    assert {
        (event_type, to_status) for event_type, from_status, to_status in MOVES if from_status is Status.SENT
    } & {
        (event_type, to_status)
        for event_type in EventType
        for to_status in (Status.QUEUED, Status.SENDING, Status.IN_DOUBT)
    } == {(EventType.COLLIDE, Status.IN_DOUBT)}
    assert not reachable(set(TRANSITIONS[EventType.REPORT][Status.SENT])) & {Status.QUEUED, Status.SENDING}


def test_only_enqueue_makes_a_message_and_it_does_nothing_else() -> None:
    assert [event_type for event_type, from_status, _ in MOVES if from_status is None] == [
        EventType.ENQUEUE
    ] * 2
    assert TRANSITIONS[EventType.ENQUEUE].keys() == {None}


def test_every_event_type_does_something() -> None:
    assert TRANSITIONS.keys() == set(EventType)
    assert all(transitions_of(event_type) for event_type in EventType)


@pytest.mark.parametrize("event_type", EventType)
@pytest.mark.parametrize("to_status", Status)
def test_sources_are_the_other_view_of_the_same_transitions(event_type: EventType, to_status: Status) -> None:
    assert sources(event_type, to_status) == {
        from_status for v, from_status, t in MOVES if v is event_type and t is to_status
    }


@pytest.mark.parametrize(
    ("event_type", "to_status", "expected"),
    [
        (EventType.SETTLE, Status.SENT, {Status.SENDING, Status.IN_DOUBT}),
        (EventType.SETTLE, Status.IN_DOUBT, {Status.SENDING}),
        (EventType.REPORT, Status.DELIVERED, {Status.SENT, Status.UNCONFIRMED}),
        (EventType.REPORT, Status.UNCONFIRMED, {Status.SENT}),
        (EventType.CLAIM, Status.DELIVERED, set()),
    ],
)
def test_sources(event_type: EventType, to_status: Status, expected: set[Status]) -> None:
    assert sources(event_type, to_status) == expected


def test_transitions_come_in_the_order_of_declaration() -> None:
    order = list(Status)
    for event_type in EventType:
        for from_status in TRANSITIONS[event_type]:
            targets = [to_status for start, to_status in transitions_of(event_type) if start is from_status]
            assert targets == sorted(targets, key=order.index)
