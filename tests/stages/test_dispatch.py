"""Dispatch: claim, talk, settle; and for every failure the one question: can they have it?"""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil, log2
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.http_client import steady
from bulk_dispatch.http_server import bound_socket
from bulk_dispatch.ledger.routes import stop_route
from bulk_dispatch.ledger.transitions import cancel
from bulk_dispatch.sandbox.server import running
from bulk_dispatch.stages.dispatch import PACKAGES, Dispatched, dispatch
from tests.factories import message, messages
from tests.stages.world import KIND, OpenWorld, World
from tests.waiting import eventually

IN_DOUBT, QUEUED, REJECTED, SENT = Status.IN_DOUBT, Status.QUEUED, Status.REJECTED, Status.SENT

# -- all is well


def test_sync_messages_are_sent_with_a_report_each(world: World) -> None:
    world.enqueue(messages(3))

    assert world.dispatch() == Dispatched(packages=1, messages=3, reason="nothing is due")

    row = world.message(2)
    assert (row.status, row.attempts, row.segments_billed, row.due_at) == ("sent", 0, 1, None)
    assert row.provider_message_id
    assert world.walked(2) == ["queued", "sending", "sent"]
    assert world.history(2).events[-1].code == "1"
    assert world.states() == {"settled": 1}
    assert sorted(world.provider.times()) == world.references()


def test_async_messages_stay_sending_until_their_job_ends(world: World) -> None:
    world.enqueue(messages(3, route="beta"))

    assert world.dispatch("beta").messages == 3

    (package,) = world.packages()
    assert package.state == "job"
    assert len(package.job) == 32
    assert package.rescue_at is None
    assert timedelta(seconds=1) < package.poll_in <= timedelta(seconds=2)
    assert world.statuses() == {Status.SENDING: 3}
    assert world.provider.taken == 3


def test_what_the_recipient_reads_is_what_was_written(world: World) -> None:
    world.enqueue([message(1, text='Тарас & <b>"Co"</b>\n]]> Ж 😀', kind="flash")])

    world.dispatch()

    kept = world.provider.see(f"messages/{world.references()[0]}")
    assert (kept["recipient"], kept["type"], kept["segments"]) == ("+380930000001", "1", 1)
    assert world.message().segments_billed == 1


def test_nothing_to_do_is_said(world: World) -> None:
    assert world.dispatch() == Dispatched(reason="nothing is due")
    assert world.packages() == []


def test_only_the_named_route_is_served(world: World) -> None:
    world.enqueue([message(1), message(2, route="beta")])

    world.dispatch()

    assert world.message(1).status == "sent"
    assert world.message(2).status == "queued"


def test_no_connection_to_the_ledger_is_held_while_talking(world: World) -> None:
    world.enqueue([message(1)])
    world.provider.script({"do": "slow", "seconds": 60})
    sender = threading.Thread(target=world.dispatch)
    sender.start()
    try:
        eventually(lambda: world.provider.taken == 1, every=0.005)
        assert world.runtime.ledger.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    finally:
        world.provider.http.delete("/sandbox/faults")
        world.provider.reset()
        sender.join()


# -- packages


def test_a_package_holds_no_more_than_package_items(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 4})
    world.enqueue(messages(10))

    assert world.dispatch() == Dispatched(packages=3, messages=10, reason="nothing is due")

    assert [package.message_count for package in world.packages()] == [4, 4, 2]
    assert world.provider.see("counts")["largest_package"] == 4


def test_a_package_holds_no_more_than_package_bytes(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_bytes": 3000})
    world.enqueue(messages(10, text="a" * 200))

    world.dispatch()

    assert [package.message_count for package in world.packages()] == [3, 3, 3, 1]


def test_a_message_bigger_than_a_package_leaves_alone(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_bytes": 100})
    world.enqueue(messages(2, text="a" * 1000))

    world.dispatch()

    assert [package.message_count for package in world.packages()] == [1, 1]
    assert world.statuses() == {SENT: 2}


def test_a_step_is_bounded_and_says_that_there_is_more(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 1})
    world.enqueue(messages(PACKAGES + 1))

    assert world.dispatch() == Dispatched(packages=PACKAGES, messages=PACKAGES, more=True)
    assert world.dispatch().messages == 1


def test_a_second_dispatcher_is_notified_when_there_is_more_than_one_package(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 4})
    world.enqueue(messages(6))

    world.dispatch()

    assert world.notified == [("dispatch", "alpha:bulk")]


def test_nothing_is_claimed_once_the_worker_is_stopping(world: World) -> None:
    world.enqueue(messages(3))

    assert dispatch(replace(world.runtime, stopping=lambda: True), "alpha", Lane.BULK) == Dispatched()

    assert world.statuses() == {QUEUED: 3}
    assert world.provider.requests("message") == 0


# -- order, validity, cancelling


def test_urgent_leaves_before_bulk_where_only_one_package_may(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 2, "parallel": 1})
    world.enqueue([*messages(4), message(5, lane="urgent"), message(6, lane="urgent")])

    world.dispatch()

    urgent = world.message(5)
    first, *others = world.packages()
    assert (first.id, first.lane) == (urgent.package_id, "urgent")
    assert world.message(6).package_id == first.id
    assert [package.lane for package in others] == ["bulk", "bulk"]


def test_the_urgent_lane_leaves_bulk_alone(world: World) -> None:
    world.enqueue([message(1), message(2, lane="urgent")])

    assert world.dispatch(lane=Lane.URGENT).messages == 1

    assert world.statuses() == {QUEUED: 1, SENT: 1}


def test_the_oldest_leave_first(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 2})
    for number in (3, 1, 2):
        world.enqueue([message(number)])
        world.passes(seconds=1)

    world.dispatch()

    assert world.message(3).package_id == world.message(1).package_id < world.message(2).package_id


def test_a_message_whose_validity_has_passed_expires_and_does_not_leave(world: World) -> None:
    late = message(1, valid_until="2020-01-01T00:00:00+00:00")
    in_time = message(2, valid_until="2999-01-01T00:00:00+00:00")
    world.enqueue([late, in_time])

    assert world.dispatch() == Dispatched(packages=1, messages=1, expired=1, reason="nothing is due")

    assert world.walked(1) == ["queued", "expired"]
    assert world.message(1).finalized_at is not None
    assert world.message(2).status == "sent"
    assert world.provider.taken == 1


def test_many_expired_messages_do_not_hide_those_behind_them(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 2})
    late = [message(n, valid_until="2020-01-01T00:00:00+00:00") for n in range(1, 6)]
    world.enqueue(late)
    world.passes(seconds=1)
    world.enqueue([message(6)])

    steps = 0
    while world.dispatch().more:
        steps += 1

    assert world.statuses() == {Status.EXPIRED: 5, SENT: 1}
    assert steps <= 3


def test_a_cancelled_message_does_not_leave(world: World) -> None:
    world.enqueue(messages(2))
    with world.runtime.ledger.begin() as connection:
        assert cancel(connection, ["client-1"]) == 1

    world.dispatch()

    assert world.walked(1) == ["queued", "cancelled"]
    assert world.provider.taken == 1


# -- the governor


def test_a_stopped_route_sends_nothing_and_says_why(world: World) -> None:
    world.enqueue([message(1)])
    with world.runtime.ledger.begin() as connection:
        stop_route(connection, "alpha", "by hand")

    assert world.dispatch() == Dispatched(reason="the route is stopped: by hand")
    world.passes(days=1)
    assert world.dispatch().packages == 0

    world.mend()
    assert world.dispatch().messages == 1


def test_a_paused_route_flows_again_by_itself(world: World) -> None:
    world.enqueue(messages(2))
    world.provider.script({"do": "throttle", "times": 1})
    world.dispatch()

    assert world.dispatch().reason.startswith("the route is paused: throttled")

    world.passes(seconds=2)
    assert world.dispatch().messages == 2
    assert world.route().state == "active"
    assert (world.route().consecutive_failures, world.route().reason) == (0, None)


def test_a_success_from_before_the_pause_does_not_end_it(open_world: OpenWorld) -> None:
    """Else a provider that throttles us is never given the time it asked for."""
    world = open_world(alpha={"parallel": 4, "package_items": 1})
    world.enqueue(messages(3))
    world.provider.script({"do": "slow", "seconds": 60, "times": 1}, {"do": "throttle", "times": 1})
    with ThreadPoolExecutor(1) as earlier:
        first = earlier.submit(world.dispatch)
        eventually(lambda: world.provider.taken == 1, every=0.005)
        world.dispatch()
        assert world.route().state == "paused"
        until = world.route().paused_until
        world.provider.reset()  # lets the first answer go
        first.result()

    assert world.message(1).status == "sent"
    assert (world.route().state, world.route().paused_until) == ("paused", until)


def test_the_pause_grows_with_failures_in_a_row_up_to_its_most(world: World) -> None:
    world.enqueue([message(1)])
    world.provider.script({"do": "throttle"})

    pauses = []
    for _ in range(6):
        world.dispatch()
        (row,) = world.rows("SELECT paused_until - changed_at AS pause FROM routes WHERE name = 'alpha'")
        pauses.append(round(row.pause.total_seconds()))
        world.passes(minutes=1)

    assert pauses == [1, 2, 4, 8, 10, 10]


@pytest.mark.slow
def test_no_more_packages_are_on_the_wire_than_parallel(open_world: OpenWorld) -> None:
    world = open_world(alpha={"parallel": 3, "package_items": 1})
    world.enqueue(messages(12))
    world.provider.script({"do": "slow", "seconds": 0.1})

    with ThreadPoolExecutor(6) as fleet:
        done = list(fleet.map(lambda _: world.dispatch(), range(6)))

    assert world.provider.see("counts")["peak_parallel"] == 2  # the third is kept for urgent messages
    assert {one.reason for one in done} <= {"", "2 packages are on the wire", "nothing is due"}
    assert "2 packages are on the wire" in {one.reason for one in done}


def test_bulk_leaves_room_for_an_urgent_message(open_world: OpenWorld) -> None:
    world = open_world(alpha={"parallel": 2})
    world.enqueue([message(1)])
    world.claim()  # on the wire, and staying there
    world.enqueue([message(2), message(3, lane="urgent")])

    assert world.dispatch() == Dispatched(reason="1 packages are on the wire")
    assert world.dispatch(lane=Lane.URGENT).messages == 1
    assert world.message(3).status == "sent"


def test_a_route_of_one_package_at_a_time_still_sends_bulk(open_world: OpenWorld) -> None:
    world = open_world(alpha={"parallel": 1, "package_items": 2})
    world.enqueue(messages(4))

    assert world.dispatch().messages == 4


def test_jobs_do_not_count_as_packages_on_the_wire(open_world: OpenWorld) -> None:
    world = open_world(beta={"parallel": 1, "package_items": 1})
    world.enqueue(messages(4, route="beta"))

    assert world.dispatch("beta").messages == 4


def test_dispatchers_side_by_side_send_each_message_once(open_world: OpenWorld) -> None:
    world = open_world(alpha={"parallel": 9, "package_items": 5})
    world.enqueue(messages(100))

    with ThreadPoolExecutor(4) as fleet:
        list(fleet.map(lambda _: [world.dispatch() for _ in range(3)], range(4)))

    assert world.statuses() == {SENT: 100}
    assert world.provider.taken == 100


# -- what a failure means: the package as a whole


@dataclass(frozen=True)
class Case:
    """What goes wrong with a package of four, and what must be so right after it."""

    name: str
    fault: dict[str, Any]
    statuses: dict[Status, int]
    package: str
    route: str
    reason: str = ""
    taken: int = 0
    alpha: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def refused(name: str, fault: dict[str, Any], route: str, reason: str) -> Case:
    """Surely not taken: queued again, no attempt used."""
    return Case(name, fault, {QUEUED: 4}, "refused", route, reason)


def doubted(name: str, fault: dict[str, Any], reason: str, taken: int = 4) -> Case:
    """Perhaps taken."""
    return Case(name, fault, {IN_DOUBT: 4}, "in_doubt", "paused", reason, taken)


def impatiently(case: Case) -> Case:
    """On a route that does not wait long for an answer."""
    return replace(case, alpha={"connect_timeout": "1s", "timeout": "200ms"})


NO_TAKE = {"take": False}

WHOLE = [
    refused("throttled, error 212", {"do": "throttle"}, "paused", "code 212"),
    refused("throttled, HTTP 429", {"do": "http", "code": 429}, "paused", "HTTP 429"),
    *(
        refused(f"not let in, error {code}", {"do": "error", "code": code}, "stopped", f"code {code}")
        for code in (202, 205, 209, 210)
    ),
    *(
        refused(f"not let in, HTTP {code}", {"do": "http", "code": code}, "stopped", f"HTTP {code}")
        for code in (401, 403)
    ),
    *(
        refused(f"a wrong address, HTTP {code}", {"do": "http", "code": code}, "stopped", f"HTTP {code}")
        for code in (404, 405)
    ),
    *(
        doubted(f"HTTP {code} after taking", {"do": "http", "code": code, "take": True}, f"HTTP {code}")
        for code in (408, 500, 503)
    ),
    doubted("HTTP 500 without taking", {"do": "http", "code": 500}, "HTTP 500", taken=0),
    doubted("error 200 after taking", {"do": "error", "code": 200, "take": True}, "code 200"),
    doubted("error 200 without taking", {"do": "error", "code": 200}, "code 200", taken=0),
    doubted("hung up before taking", {"do": "drop_before"}, "lost", taken=0),
    doubted("hung up after taking", {"do": "drop_after"}, "lost"),
    doubted("cut off in mid-answer", {"do": "cut"}, "lost"),
    impatiently(doubted("too slow to answer", {"do": "slow", "seconds": 60}, "lost")),
    impatiently(doubted("too slow to read", {"do": "slow_before", "seconds": 60}, "lost", taken=0)),
    doubted("truncated", {"do": "truncated"}, "unreadable"),
    doubted("empty", {"do": "empty"}, "unreadable"),
    doubted("empty, not taken", {"do": "empty", **NO_TAKE}, "unreadable", taken=0),
    doubted("HTML", {"do": "html"}, "unreadable"),
    doubted("HTML, not taken", {"do": "html", **NO_TAKE}, "unreadable", taken=0),
    doubted("a wrong root", {"do": "wrong_root"}, "unreadable"),
    doubted("a megabyte of blanks", {"do": "megabyte"}, "unreadable"),
    doubted("a megabyte of blanks, not taken", {"do": "megabyte", **NO_TAKE}, "unreadable", taken=0),
    doubted("twenty megabytes of blanks", {"do": "megabyte", "bytes": 20 * 2**20}, "unreadable"),
]


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_when_a_package_fails_as_a_whole(open_world: OpenWorld, case: Case) -> None:
    world = open_world(alpha=case.alpha)
    world.enqueue(messages(4))
    world.provider.script({**case.fault, "when": {"command": "message"}, "times": 1})

    world.dispatch()

    (package,) = world.packages()
    route = world.route()
    assert world.statuses() == case.statuses
    assert {world.message(number).attempts for number in range(1, 5)} == {0}
    assert (package.state, route.state) == (case.package, case.route)
    assert case.reason in package.reason
    assert case.reason in route.reason
    assert world.provider.taken == case.taken
    assert world.dispatch().packages == 0  # paused or stopped, nothing leaves now

    world.mend()
    assert world.until_final() == {Status.DELIVERED: 4}
    assert world.provider.taken == 4


JOBS_TOO = (
    "throttled, error 212",
    "not let in, error 209",
    "HTTP 503 after taking",
    "error 200 without taking",
    "hung up before taking",
    "hung up after taking",
    "cut off in mid-answer",
    "too slow to read",
    "truncated",
    "empty, not taken",
    "HTML",
)


@pytest.mark.parametrize("case", [case for case in WHOLE if case.name in JOBS_TOO], ids=str)
def test_when_a_job_cannot_be_handed_over(open_world: OpenWorld, case: Case) -> None:
    world = open_world(beta=case.alpha)
    world.enqueue(messages(4, route="beta"))
    world.provider.script({**case.fault, "when": {"command": "message-async"}, "times": 1})

    world.dispatch("beta")

    (package,) = world.packages()
    assert world.statuses() == case.statuses
    assert (package.state, package.job, world.route("beta").state) == (case.package, None, case.route)
    assert world.provider.taken == case.taken

    world.mend()
    assert world.until_final(step=60) == {Status.DELIVERED: 4}
    assert world.provider.taken == 4


# -- what a failure means: nobody there


@contextmanager
def dead_port() -> Iterator[int]:
    """A port of ours where nobody listens, so that connections are refused."""
    with bound_socket("127.0.0.1", 0) as bound:
        yield int(bound.getsockname()[1])


def test_when_nobody_is_there_the_route_pauses_and_later_flows_again_by_itself(open_world: OpenWorld) -> None:
    with dead_port() as port:
        world = open_world(alpha={"url": f"http://127.0.0.1:{port}"})
        world.enqueue(messages(4))

        world.dispatch()

        (package,) = world.packages()
        assert world.statuses() == {QUEUED: 4}
        assert world.message().attempts == 0
        assert (package.state, package.poll_at, package.rescue_at) == ("unsent", None, None)
        assert package.reason == "not_sent: the request never left (ConnectError)"
        assert (world.route().state, world.route().consecutive_failures) == ("paused", 1)
        assert world.dispatch().reason.startswith("the route is paused: not_sent")

        with running(replace(KIND, port=port)):
            world.passes(seconds=2)
            assert world.dispatch().messages == 4
            assert world.statuses() == {SENT: 4}
            assert world.route().state == "active"


def test_when_they_cannot_be_reached_for_long_no_attempt_is_used_up(open_world: OpenWorld) -> None:
    with dead_port() as port:
        world = open_world(alpha={"url": f"http://127.0.0.1:{port}", "attempts": 1})
        world.enqueue([message(1)])
        for _ in range(5):
            assert world.dispatch().packages == 1
            world.passes(minutes=1)

    assert world.message().status == "queued"
    assert world.message().attempts == 0
    assert world.states() == {"unsent": 5}


def test_when_the_handshake_of_tls_fails_nothing_was_sent(open_world: OpenWorld, world: World) -> None:
    secure = open_world(alpha={"url": world.provider.url.replace("http:", "https:")})
    secure.enqueue(messages(2))

    secure.dispatch()

    assert secure.statuses() == {QUEUED: 2}
    assert secure.states() == {"unsent": 1}
    assert "ConnectError" in secure.packages()[0].reason


def test_when_a_server_takes_connections_and_says_nothing_it_is_doubt(open_world: OpenWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        world = open_world(alpha={"url": url, "connect_timeout": "1s", "timeout": "200ms"})
        world.enqueue(messages(2))

        world.dispatch()

    assert world.statuses() == {IN_DOUBT: 2}
    assert world.packages()[0].reason == "lost: the request left and no answer came (ReadTimeout)"


# -- what a failure means: message by message


@dataclass(frozen=True)
class DeliveryReceipt:
    """A code for every second message of four, and what those become."""

    code: int
    status: Status
    route: str = "active"
    finally_delivered: bool = True

    def __str__(self) -> str:
        return f"{self.code}"


WORDS = [
    DeliveryReceipt(200, IN_DOUBT),
    DeliveryReceipt(201, REJECTED, finally_delivered=False),
    DeliveryReceipt(202, REJECTED, finally_delivered=False),
    DeliveryReceipt(203, REJECTED, finally_delivered=False),
    DeliveryReceipt(204, REJECTED, finally_delivered=False),
    DeliveryReceipt(205, QUEUED, "stopped"),
    DeliveryReceipt(206, QUEUED, "paused"),
    DeliveryReceipt(207, QUEUED, "paused"),
    DeliveryReceipt(212, QUEUED, "paused"),
    # New here, and yet refusals by their form; 208 is for test_collisions.
    DeliveryReceipt(211, REJECTED, finally_delivered=False),
    DeliveryReceipt(777, REJECTED, finally_delivered=False),
    DeliveryReceipt(9999, IN_DOUBT),
]


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_when_some_messages_are_not_taken(world: World, word: DeliveryReceipt) -> None:
    world.enqueue(messages(4))
    world.provider.script({"do": "message_code", "code": word.code, "share": 0.5, "times": 1})

    world.dispatch()

    assert world.statuses() == {word.status: 2, SENT: 2}
    assert [world.message(n).status for n in (1, 2, 3, 4)] == [word.status, "sent", word.status, "sent"]
    assert {world.message(n).attempts for n in (1, 3)} == {0}
    assert world.history(1).events[-1].code == (str(word.code) if word.code < 1000 else "?")
    assert world.route().state == word.route
    assert world.states() == ({"in_doubt": 1} if word.status is IN_DOUBT else {"settled": 1})

    world.mend()
    ends = {Status.DELIVERED: 4} if word.finally_delivered else {Status.DELIVERED: 2, REJECTED: 2}
    assert world.until_final() == ends
    assert world.provider.taken == ends[Status.DELIVERED]


def test_when_all_messages_are_rejected_the_package_is_closed(world: World) -> None:
    world.enqueue(messages(3))
    world.provider.script({"do": "message_code", "code": 203})

    world.dispatch()

    assert world.statuses() == {REJECTED: 3}
    (package,) = world.packages()
    assert (package.state, package.poll_at, package.rescue_at) == ("closed", None, None)
    assert world.route().state == "active"


def test_a_code_nobody_knows_about_taken_messages_is_doubt_and_not_success(world: World) -> None:
    world.enqueue(messages(4))
    world.provider.script({"do": "unknown_code", "times": 1, "when": {"command": "message"}})

    world.dispatch()

    assert world.statuses() == {IN_DOUBT: 4}
    world.mend()
    assert world.until_final() == {Status.DELIVERED: 4}
    assert world.provider.taken == 4


@pytest.mark.parametrize(("share", "doubtful"), [(0.1, {1}), (0.5, {1, 3}), (1, {1, 2, 3, 4})])
def test_messages_missing_from_the_answer_are_in_doubt_and_only_they(
    world: World, share: float, doubtful: set[int]
) -> None:
    world.enqueue(messages(4))
    world.provider.script({"do": "missing", "share": share, "times": 1})

    world.dispatch()

    assert {n for n in (1, 2, 3, 4) if world.message(n).status == "in_doubt"} == doubtful
    assert world.statuses().get(SENT, 0) == 4 - len(doubtful)
    assert world.states() == {"in_doubt": 1}
    assert world.route().state == ("paused" if share == 1 else "active")  # it told of nobody
    assert world.until_final() == {Status.DELIVERED: 4}
    assert world.provider.taken == 4


@pytest.mark.parametrize("do", ["extra", "wrong_order", "duplicate_items"])
def test_extra_reordered_and_duplicated_items_do_no_harm(world: World, do: str) -> None:
    world.enqueue(messages(5))
    world.provider.script({"do": do, "times": 1})

    world.dispatch()

    assert world.provider.hits() == 1
    assert world.statuses() == {SENT: 5}
    for number, reference in enumerate(world.references(), 1):
        kept = world.provider.see(f"messages/{reference}")
        assert world.message(number).provider_message_id == str(kept["sms_id"])
        assert kept["recipient"] == world.message(number).recipient


# -- the document is refused


def poisoned(*numbers: int) -> list[dict[str, Any]]:
    """Every document that holds one of these messages is refused as unreadable."""
    return [
        {"do": "error", "code": 201, "when": {"command": "message", "recipient": message(n).recipient}}
        for n in numbers
    ]


@pytest.mark.parametrize("place", [1, 2, 33, 64])
def test_the_message_that_spoils_a_document_is_found_by_halving(world: World, place: int) -> None:
    world.enqueue(messages(64))
    world.provider.script(*poisoned(place))

    assert world.dispatch().messages == 64

    assert world.statuses() == {REJECTED: 1, SENT: 63}
    assert world.message(place).status == "rejected"
    assert world.history(place).events[-1].code == "201"
    assert world.provider.requests("message") <= 1 + 2 * ceil(log2(64))
    assert world.route().state == "active"
    assert set(world.states()) == {"refused", "settled"}


def test_several_messages_that_spoil_a_document_are_all_found(world: World) -> None:
    world.enqueue(messages(32))
    world.provider.script(*poisoned(3, 4, 29))

    world.dispatch()

    assert {n for n in range(1, 33) if world.message(n).status == "rejected"} == {3, 4, 29}
    assert world.statuses() == {REJECTED: 3, SENT: 29}


def test_halving_works_for_jobs_too(world: World) -> None:
    world.enqueue(messages(16, route="beta"))
    recipient = message(5).recipient
    world.provider.script(
        {"do": "error", "code": 201, "when": {"command": "message-async", "recipient": recipient}}
    )

    world.dispatch("beta")

    assert world.statuses() == {Status.SENDING: 15, REJECTED: 1}
    assert world.message(5).status == "rejected"
    assert world.states()["job"] == 4


@pytest.mark.parametrize("fault", [{"do": "error", "code": 201}, {"do": "http", "code": 400}])
def test_when_every_half_is_refused_nobody_is_to_blame_and_the_route_stops(
    world: World, fault: dict[str, Any]
) -> None:
    world.enqueue(messages(4))
    world.provider.script(fault)

    world.dispatch()

    assert world.statuses() == {QUEUED: 4}
    assert {world.message(n).attempts for n in (1, 2, 3, 4)} == {0}
    assert world.route().state == "stopped"
    assert world.route().reason.startswith("malformed")
    assert set(world.states()) == {"refused"}

    world.mend()
    assert world.until_final() == {Status.DELIVERED: 4}


def test_a_search_without_hope_is_given_up_soon(open_world: OpenWorld) -> None:
    """Two requests for every message would be two thousand for a package of a thousand."""
    world = open_world(alpha={"package_items": 100})
    world.enqueue(messages(100))
    world.provider.script({"do": "error", "code": 201})

    world.dispatch()

    assert world.provider.requests("message") <= 20
    assert world.statuses() == {QUEUED: 100}
    assert world.route().state == "stopped"
    assert set(world.states()) == {"refused"}
    world.mend()
    assert world.until_final() == {Status.DELIVERED: 100}


def test_a_message_refused_alone_fails_when_its_attempts_are_used_up(open_world: OpenWorld) -> None:
    world = open_world(alpha={"attempts": 3})
    world.enqueue([message(1)])
    world.provider.script(*poisoned(1))

    tries = []
    for _ in range(5):
        world.dispatch()
        tries.append((world.message().status, world.message().attempts))
        world.passes(minutes=30)

    assert tries[:3] == [("queued", 1), ("queued", 2), ("failed", 3)]
    assert world.provider.requests("message") == 3
    assert world.route().state != "stopped"
    assert world.walked() == [*["queued", "sending"] * 3, "failed"]


def test_a_message_refused_alone_waits_longer_after_each_try(world: World) -> None:
    world.enqueue([message(1)])
    world.provider.script(*poisoned(1))

    waits = []
    for _ in range(4):
        world.dispatch()
        (row,) = world.rows("SELECT due_at - now() AS wait FROM messages")
        waits.append(ceil(row.wait.total_seconds()))
        world.passes(minutes=30)

    assert waits == [5, 10, 20, 40]


def test_a_trouble_in_mid_search_neither_blames_nor_stops(world: World) -> None:
    """One half is refused, the other gets no answer: that tells nothing of who spoiled the document."""
    world.enqueue(messages(2))
    lost = {"do": "drop_before", "skip": 1, "when": {"command": "message", "recipient": message(2).recipient}}
    world.provider.script(lost, *poisoned(1))

    world.dispatch()

    assert world.message(1).status == "queued"
    assert world.message(2).status == "in_doubt"
    assert world.route().state == "paused"  # it recovers by itself


def test_a_half_whose_lease_ran_out_in_mid_search_is_left_to_rescue(world: World) -> None:
    world.enqueue(messages(2))
    slow = {"do": "slow", "seconds": 60, "when": {"command": "message", "recipient": message(1).recipient}}
    world.provider.script({"do": "error", "code": 201, "times": 1}, slow)
    sender = threading.Thread(target=world.dispatch)
    sender.start()
    eventually(lambda: world.provider.taken == 1, every=0.005)  # the first half hangs; the second waits
    world.passes(minutes=2)
    assert world.rescue().lapsed == 2
    requests = world.provider.requests("message")

    world.provider.http.post("/sandbox/reset")  # lets the first half go, and forgets it
    sender.join()

    assert world.provider.requests("message") == 0, "a half that is not ours any more was sent"
    assert requests == 2


def test_a_dispatcher_held_still_until_its_lease_is_over_sends_nothing(world: World) -> None:
    """Stopped between its claim and its request, as a paused container is: when it wakes, others may have the
    package, and it cannot know. So it goes by the clock."""
    world.enqueue(messages(2))
    lease = world.line().config.lease.total_seconds()

    dispatch(replace(world.runtime, clock=lambda: steady() - lease), "alpha", Lane.BULK)

    assert world.provider.requests("message") == 0
    assert world.states() == {"unsent": 1}
    assert world.walked(1) == ["queued", "sending", "queued"]


# -- our ids at the provider


def test_an_offset_is_added_to_our_ids_going_out_and_taken_off_coming_in(open_world: OpenWorld) -> None:
    far = 5_000_000_000
    world = open_world(alpha={"reference_offset": far}, beta={"reference_offset": 2 * far})
    world.enqueue([message(1), message(2, route="beta"), message(3)])
    world.provider.script({"do": "missing", "share": 0.5, "when": {"command": "message"}, "times": 1})

    ends = world.until_final(step=60)

    one, two, three = world.references()
    assert ends == {Status.DELIVERED: 3}
    assert sorted(world.provider.times()) == sorted([one + far, two + 2 * far, three + far])
    assert world.walked(1) == ["queued", "sending", "in_doubt", "sent", "delivered"]
    assert world.walked(3) == ["queued", "sending", "sent", "delivered"]
    assert world.message(3).provider_message_id == str(
        world.provider.see(f"messages/{three + far}")["sms_id"]
    )
