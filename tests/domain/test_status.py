"""The road of a message: what the one table must be true to, whatever it comes to say."""

import pytest

from bulk_dispatch.domain.status import FINAL, TRANSITIONS, Status, Verb, sources, transitions_of

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
MOVES = [(verb, source, target) for verb in Verb for source, target in transitions_of(verb)]
"""All of them; `read` leads nowhere."""


def leaving(status: Status) -> set[Status]:
    """The statuses one step on."""
    return {target for _, source, target in MOVES if source is status and target is not status}


def reachable(start: set[Status]) -> set[Status]:
    """All statuses on any road from these."""
    found: set[Status] = set()
    ahead = set(start)
    while ahead:
        found |= ahead
        ahead = {target for status in ahead for target in leaving(status)} - found
    return found


def test_the_table_is_that_of_the_design() -> None:
    told = {(source and source.value, target.value, verb.value) for verb, source, target in MOVES}
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
    assert {verb for verb, source, target in MOVES if source is target} == {Verb.READ, Verb.COLLIDE}


def test_every_status_is_reached_from_a_new_message() -> None:
    new = {target for _, source, target in MOVES if source is None}
    assert reachable(new) == set(Status)


def test_what_was_sent_is_never_queued_again_but_by_a_person_after_a_collision() -> None:
    assert {(verb, target) for verb, source, target in MOVES if source is Status.SENT} & {
        (verb, target) for verb in Verb for target in (Status.QUEUED, Status.SENDING, Status.IN_DOUBT)
    } == {(Verb.COLLIDE, Status.IN_DOUBT)}
    assert not reachable(set(TRANSITIONS[Verb.REPORT][Status.SENT])) & {Status.QUEUED, Status.SENDING}


def test_only_enqueue_makes_a_message_and_it_does_nothing_else() -> None:
    assert [verb for verb, source, _ in MOVES if source is None] == [Verb.ENQUEUE] * 2
    assert TRANSITIONS[Verb.ENQUEUE].keys() == {None}


def test_every_verb_does_something() -> None:
    assert TRANSITIONS.keys() == set(Verb)
    assert all(transitions_of(verb) for verb in Verb)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("target", Status)
def test_sources_are_the_other_view_of_the_same_roads(verb: Verb, target: Status) -> None:
    assert sources(verb, target) == {source for v, source, t in MOVES if v is verb and t is target}


@pytest.mark.parametrize(
    ("verb", "target", "expected"),
    [
        (Verb.SETTLE, Status.SENT, {Status.SENDING, Status.IN_DOUBT}),
        (Verb.SETTLE, Status.IN_DOUBT, {Status.SENDING}),
        (Verb.REPORT, Status.DELIVERED, {Status.SENT, Status.UNCONFIRMED}),
        (Verb.REPORT, Status.UNCONFIRMED, {Status.SENT}),
        (Verb.CLAIM, Status.DELIVERED, set()),
    ],
)
def test_sources(verb: Verb, target: Status, expected: set[Status]) -> None:
    assert sources(verb, target) == expected


def test_roads_come_in_the_order_of_declaration() -> None:
    order = list(Status)
    for verb in Verb:
        for source in TRANSITIONS[verb]:
            targets = [target for start, target in transitions_of(verb) if start is source]
            assert targets == sorted(targets, key=order.index)
