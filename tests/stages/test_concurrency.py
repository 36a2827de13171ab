"""Calls: a package of which every message is a request of its own, many of them on the wire at once."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.http_client import steady
from bulk_dispatch.ledger.queries import Event
from bulk_dispatch.providers.interface import Answered, StatusReport
from bulk_dispatch.stages.concurrency import calls
from bulk_dispatch.stages.dispatch import Dispatched
from bulk_dispatch.stages.poll import Polled
from bulk_dispatch.stages.rescue import Rescued
from bulk_dispatch.stages.submissions import record_submission
from tests.factories import message, messages
from tests.stages.test_dispatch import dead_port
from tests.stages.world import ENDLESS, OpenWorld, World
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SENDING, SENT, DELIVERED, IN_DOUBT = Status.SENDING, Status.SENT, Status.DELIVERED, Status.IN_DOUBT
QUEUED, REJECTED = Status.QUEUED, Status.REJECTED
SENDS: dict[str, Any] = {"when": {"provider": "alphasms-http", "command": "send"}}
ASKS: dict[str, Any] = {"when": {"provider": "alphasms-http", "command": "receive"}}


def plain(count: int, **changes: Any) -> list[Any]:
    return messages(count, route="plain", **changes)


def number_of(number: int) -> dict[str, Any]:
    """A rule's condition: the sending of message `number`."""
    return {"when": {**SENDS["when"], "recipient": f"38093{number:07d}"}}


def attempts(world: World) -> set[int]:
    return {row.attempts for row in world.rows("SELECT attempts FROM messages")}


def later(world: World, ready: Callable[[], bool]) -> World:
    """The same world, whose worker stops once `ready` says so."""
    return replace(world, runtime=replace(world.runtime, stopping=ready))


class Clock:
    """Ours, which jumps ahead by so many seconds after so many looks at it."""

    def __init__(self, looks: int, seconds: float) -> None:
        self.looks = looks
        self.seconds = seconds

    def __call__(self) -> float:
        self.looks -= 1
        return steady() + (self.seconds if self.looks < 0 else 0)


# -- all is well


def test_each_message_is_a_call_and_all_are_one_package(open_world: OpenWorld) -> None:
    world = open_world(plain={"package_items": 10})
    world.enqueue(plain(25))

    assert world.dispatch("plain") == Dispatched(packages=3, messages=25, reason="nothing is due")

    assert world.statuses() == {SENT: 25}
    assert [package.message_count for package in world.packages()] == [10, 10, 5]
    assert world.provider.requests("send") == 25
    assert (
        len({row.provider_message_id for row in world.rows("SELECT provider_message_id FROM messages")}) == 25
    )
    assert world.states() == {"settled": 3}


@pytest.mark.slow
def test_many_calls_are_on_the_wire_at_once_and_no_more_than_in_flight(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 4})
    world.enqueue(plain(12))
    world.provider.script({"do": "slow", "seconds": 0.3, **SENDS})

    world.dispatch("plain")

    assert world.statuses() == {SENT: 12}
    assert world.provider.see("counts")["peak_parallel"] == 4


@pytest.mark.parametrize(("keepalive", "doubtful"), [("0s", False), ("20s", True)])
def test_given_they_hang_up_on_a_connection_that_is_used_again_then_the_route_says_whether_it_is(
    open_world: OpenWorld, keepalive: str, doubtful: bool
) -> None:
    world = open_world(plain={"keepalive": keepalive})
    world.enqueue(plain(20))
    world.provider.script({"do": "drop_idle", "seconds": 0, **SENDS})

    world.dispatch("plain")

    assert (world.provider.hits() > 0, IN_DOUBT in world.statuses()) == (doubtful, doubtful)


def test_one_after_another_where_in_flight_is_one(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(5))

    world.dispatch("plain")

    assert world.statuses() == {SENT: 5}
    assert world.provider.see("counts")["peak_parallel"] == 1


def test_the_package_is_looked_at_as_soon_as_any(open_world: OpenWorld) -> None:
    world = open_world(plain={})
    world.enqueue(plain(5))

    world.dispatch("plain")

    (package,) = world.packages()
    assert timedelta(seconds=29) < package.poll_in <= timedelta(seconds=30)
    assert package.rescue_in is None


def test_each_is_written_down_as_it_is_answered(open_world: OpenWorld) -> None:
    """Who dies over a slow call leaves no doubt about the quick ones."""
    world = open_world(plain={})
    world.enqueue(plain(6))
    world.provider.script({"do": "slow", "seconds": 60, **number_of(2)})
    sender = threading.Thread(target=world.dispatch, args=("plain",))
    sender.start()
    try:
        eventually(lambda: world.statuses() == {SENT: 5, SENDING: 1}, every=0.01)
        (package,) = world.packages()
        assert (package.state, world.message(2).status) == ("open", "sending")
        assert timedelta(seconds=50) < package.rescue_in <= timedelta(seconds=60)  # its lease goes on
    finally:
        world.provider.reset()  # lets the slow one go
        sender.join()

    assert world.statuses() == {SENT: 6}
    assert world.states() == {"settled": 1}


def test_nobody_is_queued_while_he_may_be_on_the_wire(open_world: OpenWorld) -> None:
    """What is on the wire is waited for, also when all the rest has been given up."""
    world = open_world(plain={"in_flight": 2})
    world.enqueue(plain(6))
    world.provider.script(
        {"do": "slow", "seconds": 60, **number_of(1)}, {"do": "error", "code": "login", **number_of(2)}
    )
    sender = threading.Thread(target=world.dispatch, args=("plain",))
    sender.start()
    try:
        eventually(lambda: world.statuses() == {QUEUED: 1, SENDING: 5}, every=0.01)
        assert world.provider.requests("send") == 2
    finally:
        world.provider.reset()
        sender.join()

    assert world.statuses() == {SENT: 1, QUEUED: 5}
    assert world.message(1).status == "sent"


# -- a message that is refused is no trouble


def test_a_refused_message_ends_alone(open_world: OpenWorld) -> None:
    world = open_world(plain={})
    world.enqueue(plain(6))
    world.provider.script({"do": "message_code", "code": 203, **number_of(3)})

    world.dispatch("plain")

    assert world.statuses() == {SENT: 5, REJECTED: 1}
    assert world.message(3).status == "rejected"
    assert world.route("plain").state == "active"


# -- trouble in mid-package

TROUBLE: dict[str, tuple[dict[str, Any], str, Status]] = {
    # what they do from the fourth call on: the route after it, and what becomes of those on the wire
    "they let us in no more": ({"do": "error", "code": "login"}, "stopped", QUEUED),
    "too fast for them": ({"do": "http", "code": 429}, "paused", IN_DOUBT),
    "wrong address": ({"do": "http", "code": 404}, "stopped", IN_DOUBT),
    "HTTP 403 after taking": ({"do": "http", "code": 403, "take": True}, "stopped", IN_DOUBT),
    "hung up before taking": ({"do": "drop_before"}, "paused", IN_DOUBT),
    "hung up after taking": ({"do": "drop_after"}, "paused", IN_DOUBT),
    "HTTP 500 after taking": ({"do": "http", "code": 500, "take": True}, "paused", IN_DOUBT),
    "HTML": ({"do": "html"}, "paused", IN_DOUBT),
}


@pytest.mark.parametrize(("fault", "route", "fate"), TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize("in_flight", [1, 2])
def test_trouble_starts_no_more_calls(
    open_world: OpenWorld, fault: dict[str, Any], route: str, fate: Status, in_flight: int
) -> None:
    world = open_world(plain={"in_flight": in_flight})
    world.enqueue(plain(10))
    world.provider.script({**fault, "skip": 3, **SENDS})

    world.dispatch("plain")

    troubled = world.provider.requests("send") - 3  # those that were on the wire
    assert 1 <= troubled <= in_flight
    statuses = world.statuses()
    assert statuses[SENT] == 3
    assert statuses.get(IN_DOUBT, 0) == (troubled if fate is IN_DOUBT else 0)
    assert statuses[QUEUED] == 7 - statuses.get(IN_DOUBT, 0)
    assert attempts(world) == {0}
    assert world.route("plain").state == route
    (package,) = world.packages()
    assert package.state == ("in_doubt" if fate is IN_DOUBT else "settled")
    assert package.reason == world.route("plain").reason  # and not that others were given up for it
    assert world.dispatch("plain").packages == 0


def test_what_was_queued_again_leaves_once_the_trouble_is_over(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 2})
    world.enqueue(plain(10))
    world.provider.script({"do": "drop_after", "skip": 3, "times": 2, **SENDS})
    world.dispatch("plain")
    doubtful = world.statuses()[IN_DOUBT]

    world.mend()
    world.passes(seconds=11)
    world.dispatch("plain")

    assert world.statuses() == {SENT: 10 - doubtful, IN_DOUBT: doubtful}
    assert world.provider.taken == 10
    assert world.walked(9) == ["queued", "sending", "queued", "sending", "sent"]
    for _ in range(5):  # nobody knows, so a person decides
        world.rescue("plain")
        world.passes(hours=1)
    assert world.statuses()[IN_DOUBT] == doubtful


def test_calls_that_fail_together_are_one_failure_of_the_route(open_world: OpenWorld) -> None:
    """Else a moment's silence, met by many calls at once, would pass for a provider gone for good."""
    world = open_world(plain={"in_flight": 8})
    world.enqueue(plain(60))
    world.provider.script({"do": "drop_before", **SENDS})

    for failures in (1, 2, 3):
        world.dispatch("plain")
        assert (world.route("plain").state, world.route("plain").consecutive_failures) == ("paused", failures)
        assert len(world.route("plain").unresolvable_failures) == failures
        world.passes(seconds=11)


def test_where_nobody_is_there_all_are_queued_again_and_nobody_is_in_doubt(open_world: OpenWorld) -> None:
    with dead_port() as port:
        world = open_world(plain={"url": f"http://127.0.0.1:{port}"})
        world.enqueue(plain(20))

        world.dispatch("plain")

    assert world.statuses() == {QUEUED: 20}
    assert attempts(world) == {0}
    assert world.states() == {"unsent": 1}
    assert world.route("plain").reason.startswith("not_sent")


@pytest.mark.parametrize("code", [400, 403, 404, 429])
def test_what_a_proxy_turned_away_after_it_was_taken_is_not_sent_again(
    open_world: OpenWorld, code: int
) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(4))
    world.provider.script({"do": "http", "code": code, "take": True, **number_of(1)})

    world.dispatch("plain")

    assert world.statuses() == {IN_DOUBT: 1, QUEUED: 3}
    world.mend()
    world.passes(minutes=1)
    world.dispatch("plain")
    world.rescue("plain")
    assert world.statuses() == {IN_DOUBT: 1, SENT: 3}
    assert attempts(world) == {0}
    assert world.provider.taken == 4


def notes(world: World, number: int) -> list[Event]:
    return list(world.history(number).events)


def test_what_was_on_the_wire_is_written_before_the_rest_is_given_up(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 2})
    world.enqueue(plain(6))
    world.provider.script({"do": "drop_after", "skip": 1, **SENDS})

    world.dispatch("plain")

    events = world.rows("SELECT to_status, note FROM events WHERE type = 'settle' ORDER BY id")
    told = [event.to_status for event in events]
    first = told.index("queued")
    assert set(told[:first]) == {"sent", "in_doubt"}
    assert set(told[first:]) == {"queued"}
    assert {event.note for event in events[first:]} == {"not begun any more"}


# -- too little time, a shutdown, a death


def test_with_too_little_time_for_an_exchange_none_is_begun(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(6))
    # One look for the lease, and one for each of three calls; the lease has 59 s, an exchange may take 45.
    pressed = replace(world, runtime=replace(world.runtime, clock=Clock(4, 15)))

    assert pressed.dispatch("plain").messages == 9

    assert world.statuses() == {SENT: 6}
    assert [package.message_count for package in world.packages()] == [6, 3]
    assert world.walked(3) == ["queued", "sending", "sent"]
    assert world.walked(4) == ["queued", "sending", "queued", "sending", "sent"]
    assert notes(world, 4)[2].note == "not begun any more"
    assert attempts(world) == {0}
    assert world.provider.requests("send") == 6


def test_who_was_held_up_after_his_claim_begins_none_at_all(open_world: OpenWorld) -> None:
    world = open_world(plain={})
    world.enqueue(plain(6))
    late = replace(world, runtime=replace(world.runtime, clock=Clock(1, 15)))

    late.dispatch("plain")

    first, second = world.packages()
    assert (first.state, first.rescue_at, second.state) == ("unsent", None, "settled")
    assert world.statuses() == {SENT: 6}
    assert world.provider.requests("send") == 6


def test_a_worker_that_is_stopping_begins_no_more_calls(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(6))
    looks = iter([False] * 4)  # one before the claim, and one for each of three calls

    later(world, lambda: next(looks, True)).dispatch("plain")

    assert world.statuses() == {SENT: 3, QUEUED: 3}
    assert attempts(world) == {0}
    assert world.provider.requests("send") == 3
    assert world.dispatch("plain").messages == 3


class Killed(BaseException):
    """A process ends here."""


def test_who_dies_in_mid_package_leaves_in_doubt_only_what_was_not_written(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(6))
    looks = iter([False] * 4)

    def die() -> bool:
        for one in looks:
            return one
        raise Killed

    with pytest.raises(Killed):
        later(world, die).dispatch("plain")

    assert world.statuses() == {SENT: 3, SENDING: 3}
    world.passes(seconds=61)
    assert world.rescue("plain") == Rescued(lapsed=1)
    assert world.statuses() == {SENT: 3, IN_DOUBT: 3}
    assert world.states() == {"in_doubt": 1}


def test_an_answer_that_comes_after_the_lease_ran_out_still_counts(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 2})
    world.enqueue(plain(3))
    world.provider.script({"do": "slow", "seconds": 60, **number_of(1)})
    sender = threading.Thread(target=world.dispatch, args=("plain",))
    sender.start()
    try:
        eventually(lambda: world.statuses() == {SENT: 2, SENDING: 1}, every=0.01)
        world.passes(seconds=61)
        world.rescue("plain")
        assert world.statuses() == {SENT: 2, IN_DOUBT: 1}
    finally:
        world.provider.reset()
        sender.join()

    assert world.statuses() == {SENT: 3}
    assert world.walked(1) == ["queued", "sending", "in_doubt", "sent"]


# -- states, asked one by one


@pytest.mark.slow
def test_states_are_asked_for_many_at_once(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 4})
    world.enqueue(plain(12))
    world.dispatch("plain")
    world.provider.settle_down()
    world.passes(seconds=31)
    world.provider.script({"do": "slow", "seconds": 0.3, **ASKS})

    assert world.poll("plain").final == 12

    assert world.provider.requests("receive") == 12
    assert world.provider.see("counts")["peak_parallel"] == 4


ASKING: dict[str, tuple[dict[str, Any], str, bool]] = {
    # what they do from the fourth question on: the route after it, and whether they answer nothing
    "they let us in no more": ({"do": "error", "code": "login"}, "active", False),
    "too fast for them": ({"do": "http", "code": 429}, "active", False),
    "hung up": ({"do": "drop_after"}, "active", True),
}


@pytest.mark.parametrize(("fault", "route", "unreachable"), ASKING.values(), ids=ASKING)
def test_trouble_cuts_the_asking_short(
    open_world: OpenWorld, fault: dict[str, Any], route: str, unreachable: bool
) -> None:
    world = open_world(plain={"in_flight": 3, "package_items": 20})
    world.enqueue(plain(20))
    world.dispatch("plain")
    world.provider.settle_down()
    world.passes(seconds=31)
    world.provider.script({**fault, "skip": 3, **ASKS})

    done = world.poll("plain")

    assert (done.final, done.unreachable) == (3, unreachable)
    assert 4 <= world.provider.requests("receive") <= 6
    assert world.statuses() == {DELIVERED: 3, SENT: 17}
    assert world.route("plain").state == route
    world.mend()
    assert world.until_final("plain") == {DELIVERED: 20}


def test_an_answer_that_cannot_be_read_is_about_its_own_message_only(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 3})
    world.enqueue(plain(9))
    world.dispatch("plain")
    world.provider.settle_down()
    world.passes(seconds=31)
    world.provider.script({"do": "html", "skip": 3, "times": 2, **ASKS})

    world.poll("plain")

    assert world.statuses() == {DELIVERED: 7, SENT: 2}
    assert world.provider.requests("receive") == 9


def test_what_has_no_id_of_theirs_is_not_asked_for(open_world: OpenWorld) -> None:
    """As after a resolve by hand: nobody can ask, and past the horizon nobody waits."""
    world = open_world(provider=ENDLESS, plain={})
    world.enqueue([message(1, route="plain"), message(2, route="plain")])
    world.dispatch("plain")
    world.rows("UPDATE messages SET provider_message_id = NULL WHERE client_id = 'client-1' RETURNING id")
    world.passes(seconds=31)

    assert world.poll("plain") == Polled(packages=1, asked=2)

    assert world.provider.requests("receive") == 1
    assert world.statuses() == {SENT: 2}
    world.passes(days=7)
    world.poll("plain")
    assert world.message(1).status == "unconfirmed"


# -- the hands themselves


def test_hands_do_every_part_once_and_never_more_than_so_many() -> None:
    guard, now, most = threading.Lock(), 0, 0
    full = threading.Barrier(3, timeout=20)

    def work(part: int) -> int:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        full.wait()
        with guard:
            now -= 1
        return part * part

    ended = [one for some in calls(work, range(12), 3) for one in some]

    assert sorted(ended) == [(part, part * part) for part in range(12)]
    assert most == 3


@pytest.mark.parametrize("in_flight", [1, 3])
def test_nothing_is_begun_where_it_may_not(in_flight: int) -> None:
    assert list(calls(str, range(5), in_flight, lambda: False)) == []


@pytest.mark.parametrize("in_flight", [1, 3])
def test_nothing_is_nothing_to_do(in_flight: int) -> None:
    assert list(calls(str, [], in_flight)) == []


def test_an_error_in_one_part_is_raised_once_the_others_have_ended() -> None:
    done: list[int] = []

    def work(part: int) -> None:
        if part == 1:
            raise Killed
        done.append(part)

    with pytest.raises(Killed):
        list(calls(work, range(3), 3))

    assert sorted(done) == [0, 2]


# -- refusals in words that nobody knows


WORDS = "The moon is in the wrong house"


def refuses(
    times: int = 0, skip: int = 0, words: str = WORDS, provider: str = "alphasms-http"
) -> dict[str, Any]:
    """They answer so to as many calls, after the first few; to all, if no number is given."""
    rule: dict[str, Any] = {"do": "message_code", "code": words, "skip": skip}
    when = {"provider": provider, "command": "send"}
    return {**rule, "when": when, **({"times": times} if times else {})}


def test_a_refusal_in_words_nobody_knows_refuses_its_message_and_no_other(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    world.enqueue(plain(3))
    world.provider.script(refuses(1))

    world.dispatch("plain")

    assert world.statuses() == {Status.REJECTED: 1, SENT: 2}
    assert world.history(1).events[-1].code == WORDS
    assert (world.route("plain").state, world.route("plain").consecutive_failures) == ("active", 0)


def test_the_same_words_for_many_in_a_row_stop_the_route(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1, "package_items": 4})
    world.enqueue(plain(30))
    world.provider.script(refuses())

    world.dispatch("plain")

    assert world.statuses() == {REJECTED: 9, QUEUED: 21}, "the tenth shows that none of them is to blame"
    stopped = world.route("plain")
    assert stopped.state == "stopped"
    assert WORDS in stopped.reason


def test_what_comes_in_with_the_same_words_afterwards_is_queued_again_too(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1, "parallel": 3})
    world.enqueue(plain(12))
    late = world.claim("plain", items=2).package
    assert late is not None
    world.provider.script(refuses())
    world.dispatch("plain")
    assert world.route("plain").state == "stopped"

    line = world.line("plain")
    words = [StatusReport(item.reference, Status.REJECTED, WORDS, strange=True) for item in late.items]
    record_submission(world.runtime, line, late, Answered(words))

    assert world.statuses() == {REJECTED: 9, QUEUED: 3}
    assert world.history(1).events[-1].code == WORDS


def test_other_words_or_one_that_is_taken_begin_the_count_anew(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1})
    offered = plain(28)
    for said, many in ((WORDS, 9), ("", 1), (WORDS, 9), ("And the sun too", 9)):
        world.enqueue([offered.pop() for _ in range(many)])
        world.provider.script(*([refuses(words=said)] if said else []))
        world.dispatch("plain")

    assert world.route("plain").state == "active"
    assert world.statuses() == {Status.REJECTED: 27, SENT: 1}


def test_an_operator_who_opens_the_route_begins_the_count_anew(open_world: OpenWorld) -> None:
    world = open_world(plain={"in_flight": 1, "package_items": 4})
    world.enqueue(plain(30))
    world.provider.script(refuses())
    world.dispatch("plain")

    world.reopen()
    world.passes(minutes=1)  # the tenth is tried again
    world.provider.script(refuses(3))
    world.dispatch("plain")

    assert world.statuses() == {REJECTED: 12, SENT: 18}
    assert world.route("plain").state == "active"


def test_a_whole_package_refused_in_the_same_words_is_queued_again(open_world: OpenWorld) -> None:
    """None of them is to blame, and none was taken."""
    world = open_world(webcom={})
    world.enqueue(messages(12, route="webcom"))
    world.provider.script(refuses(provider="webcom-xml"))

    world.dispatch("webcom")

    assert world.statuses() == {QUEUED: 12}
    assert world.provider.taken == 0
    assert world.route("webcom").state == "stopped"
    assert WORDS in world.route("webcom").reason
