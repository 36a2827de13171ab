"""Cancel: what is queued is surely withdrawn, what a provider holds is asked for, nothing else is touched."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.stages.cancel import STEP, CancelSelection, Fate, cancel_all, cancel_names
from tests.factories import message, messages
from tests.stages.world import ENDLESS, KEY, LOGIN, PASSWORD, OpenWorld, World

WHY = "by order of the shop"
ALL = CancelSelection()
HOLDS: dict[str, object] = {"schedule_ahead": "2h"}
WEBCOM: dict[str, object] = {"provider": "webcom-xml", "token": KEY, "in_doubt": "repeat", **HOLDS}
HTTP: dict[str, object] = {"provider": "alphasms-http", **HOLDS}
SMARTSWITCH: dict[str, object] = {
    "provider": "smartswitch",
    "login": LOGIN,
    "password": PASSWORD,
}


def later(number: int = 1, **changes: object) -> Message:
    """A message that leaves in an hour."""
    return message(number, send_at=datetime.now(UTC) + timedelta(hours=1), **changes)


def held(count: int, **changes: object) -> list[Message]:
    return [later(number, **changes) for number in range(1, count + 1)]


def counted(steps: Iterable[Mapping[Fate, int]]) -> dict[Fate, int]:
    """What became of how many, without what became of none."""
    total: Counter[Fate] = Counter()
    for step in steps:
        total.update(step)
    return {fate: count for fate, count in total.items() if count}


def named(world: World, *client_ids: str) -> dict[str, Fate]:
    steps = cancel_names(world.runtime, client_ids, WHY)
    return {name: fate for step in steps for name, fate in step.items()}


def statuses(world: World) -> dict[str, str]:
    rows = world.rows("SELECT client_id, status FROM messages ORDER BY id")
    return {row.client_id: row.status for row in rows}


# -- what is queued


def test_what_is_queued_is_withdrawn_in_every_lane_and_route(world: World) -> None:
    world.enqueue([message(1), message(2, lane=Lane.URGENT), message(3, route="beta"), later(4)])

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_QUEUED: 4}

    assert world.statuses() == {Status.CANCELLED: 4}
    last = world.history(2).events[-1]
    assert (last.type, last.from_status, last.note) == ("cancel", "queued", WHY)
    assert world.dispatch().packages == 0


@pytest.mark.parametrize(
    ("selection", "cancelled"),
    [
        (CancelSelection(campaign="spring"), {1, 3}),
        (CancelSelection(route="beta"), {3, 4}),
        (CancelSelection("beta", "spring"), {3}),
        (CancelSelection("nowhere"), set()),
        (CancelSelection(campaign="autumn"), set()),
    ],
    ids=str,
)
def test_only_what_is_selected_is_withdrawn(
    world: World, selection: CancelSelection, cancelled: set[int]
) -> None:
    spring = {"campaign": "spring"}
    world.enqueue(
        [message(1, **spring), message(2), message(3, route="beta", **spring), message(4, route="beta")]
    )

    counted(cancel_all(world.runtime, selection, WHY))

    found = {name for name, status in statuses(world).items() if status == "cancelled"}
    assert found == {f"client-{number}" for number in cancelled}


@pytest.mark.slow
def test_a_large_campaign_is_withdrawn_in_bounded_steps(world: World) -> None:
    """Among as many messages of another, which stay."""
    batch = 2 * STEP + 100
    world.enqueue(messages(2 * batch)[::2])
    world.enqueue([message(number, campaign="spring") for number in range(2, 2 * batch, 2)])

    steps = list(cancel_all(world.runtime, CancelSelection(campaign="spring"), WHY))

    assert max(sum(step.values()) for step in steps) == STEP
    assert counted(steps) == {Fate.CANCELLED_QUEUED: batch - 1}
    assert world.statuses() == {Status.QUEUED: batch, Status.CANCELLED: batch - 1}


@pytest.mark.slow
def test_messages_of_one_instant_are_all_found(world: World) -> None:
    """They share their due instant, so that the place in the queue is a matter of ids."""
    world.enqueue(messages(STEP + 1))
    assert world.rows("SELECT count(DISTINCT due_at) FROM messages")[0][0] == 1

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_QUEUED: STEP + 1}


@pytest.mark.slow
def test_what_is_interrupted_stays_done_and_goes_on_when_said_again(world: World) -> None:
    world.enqueue(messages(STEP + 10))
    steps = cancel_all(world.runtime, CancelSelection("alpha"), WHY)
    done = [next(steps), next(steps)]  # urgent, of which there are none, and the first of bulk
    steps.close()  # type: ignore[attr-defined]

    assert counted(done) == {Fate.CANCELLED_QUEUED: STEP}
    assert world.statuses() == {Status.QUEUED: 10, Status.CANCELLED: STEP}
    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_QUEUED: 10}


def test_what_comes_later_is_not_meant(world: World) -> None:
    world.enqueue([message(1)])
    steps = cancel_all(world.runtime, ALL, WHY)
    first = next(steps)
    world.enqueue([message(2)])

    assert counted([first, *steps]) == {Fate.CANCELLED_QUEUED: 1}
    assert statuses(world) == {"client-1": "cancelled", "client-2": "queued"}


def test_a_shutdown_ends_it_between_two_steps(world: World) -> None:
    world.enqueue(messages(3))
    stopping = replace(world.runtime, stopping=lambda: True)

    assert counted(cancel_all(stopping, ALL, WHY)) == {}
    assert list(cancel_names(stopping, ["client-1"], WHY)) == []
    assert world.statuses() == {Status.QUEUED: 3}


# -- what a provider holds


@pytest.mark.parametrize("route", [HOLDS, WEBCOM, HTTP], ids=["alphasms-xml", "webcom-xml", "alphasms-http"])
def test_what_a_provider_holds_until_its_time_is_cancelled_there(
    open_world: OpenWorld, route: dict[str, object]
) -> None:
    world = open_world(alpha=route)
    world.enqueue(held(5))
    world.rows("UPDATE routes SET clock_skew = '0s' RETURNING 1")  # a clock that was read is trusted
    world.dispatch()
    assert world.statuses() == {Status.SENT: 5}

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_AT_PROVIDER: 5}

    assert world.statuses() == {Status.CANCELLED: 5}
    assert world.walked() == ["queued", "sending", "sent", "cancelled"]
    assert world.history().events[-1].note == WHY
    assert world.states() == {"closed": 1}
    assert counted(cancel_all(world.runtime, ALL, WHY)) == {}


def test_the_offset_of_our_ids_is_reckoned_with(open_world: OpenWorld) -> None:
    world = open_world(alpha={**HOLDS, "reference_offset": 7_000_000})
    world.enqueue(held(2))
    world.dispatch()

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_AT_PROVIDER: 2}


def test_only_the_campaign_is_asked_for_and_the_others_are_polled_as_before(open_world: OpenWorld) -> None:
    world = open_world(alpha=HOLDS)
    world.enqueue([later(1, campaign="spring"), later(2)])
    world.dispatch()
    world.passes(seconds=5)
    [before] = world.packages()

    done = counted(cancel_all(world.runtime, CancelSelection(campaign="spring"), WHY))

    assert done == {Fate.CANCELLED_AT_PROVIDER: 1}
    assert statuses(world) == {"client-1": "cancelled", "client-2": "sent"}
    [after] = world.packages()
    assert (after.state, after.poll_at) == ("settled", before.poll_at)


def test_what_has_left_the_provider_is_too_late_and_its_looks_go_on(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue(messages(3))
    world.dispatch()
    [before] = world.packages()

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.TOO_LATE: 3}

    [after] = world.packages()
    assert (after.state, after.poll_at, after.poll_count) == ("settled", before.poll_at, before.poll_count)
    assert world.statuses() == {Status.SENT: 3}


def test_the_end_a_message_came_to_meanwhile_is_written_down(world: World) -> None:
    world.enqueue(messages(2))
    world.dispatch()
    world.provider.settle_down()

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.TOO_LATE: 2}

    assert world.statuses() == {Status.DELIVERED: 2}
    assert world.history().events[-1].note is None


def test_what_the_provider_does_not_know_stays_as_it_is(world: World) -> None:
    world.enqueue(messages(2))
    world.dispatch()
    world.provider.reset()

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.UNKNOWN: 2}
    assert world.statuses() == {Status.SENT: 2}


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        ({"do": "missing", "share": 1.0}, Fate.UNKNOWN),
        ({"do": "message_code", "code": 201}, Fate.UNKNOWN),
        ({"do": "message_code", "code": 211}, Fate.TOO_LATE),
        *(
            ({"do": "message_code", "code": code}, Fate.UNANSWERED)
            for code in (200, 202, 203, 204, 205, 206, 207, 208, 212)
        ),
        ({"do": "unknown_code"}, Fate.UNANSWERED),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_an_answer_that_says_nothing_changes_nothing(
    open_world: OpenWorld, fault: dict[str, object], fate: Fate
) -> None:
    world = open_world(alpha=HOLDS)
    world.enqueue(held(2))
    world.dispatch()
    world.provider.script({"when": {"command": "delete"}, **fault})

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {fate: 2}
    assert world.provider.hits() == 1
    assert world.statuses() == {Status.SENT: 2}
    assert world.route().state == "active"


def test_an_error_that_nobody_has_seen_is_no_answer(open_world: OpenWorld) -> None:
    world = open_world(alpha=HTTP)
    world.enqueue(held(2))
    world.dispatch()
    world.provider.script(
        {"do": "message_code", "code": "Come back later", "when": {"command": "delete"}, "times": 2}
    )

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.UNANSWERED: 2}
    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANCELLED_AT_PROVIDER: 2}


@pytest.mark.parametrize(
    ("fault", "asked"),
    [("drop_before", 1), ("throttle", 1), ("html", 3), ("truncated", 3), ("http", 3)],
)
def test_no_answer_is_told_and_what_does_not_answer_is_not_asked_on(
    open_world: OpenWorld, fault: str, asked: int
) -> None:
    world = open_world(alpha={**HOLDS, "status_items": 1, "package_items": 1})
    world.enqueue(held(3))
    world.dispatch()
    world.provider.script({"when": {"command": "delete", "provider": "alphasms-xml"}, "do": fault})

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.UNANSWERED: 3}
    assert world.provider.hits() == asked
    assert world.route().state == "active"

    world.provider.script()
    again = counted(cancel_all(world.runtime, ALL, WHY))
    assert sum(again.values()) == 3
    assert again.keys() <= {Fate.CANCELLED_AT_PROVIDER, Fate.TOO_LATE}
    assert Status.SENT not in world.statuses()


def test_a_silent_route_keeps_nobody_from_another(open_world: OpenWorld) -> None:
    world = open_world(alpha=HOLDS, beta={**HOLDS, "mode": "sync", "login": "sandbox"})
    world.enqueue([later(1), later(2, route="beta")])
    world.dispatch()
    world.dispatch("beta")
    world.provider.script({"when": {"command": "delete"}, "do": "drop_before", "times": 1})

    done = counted(cancel_all(world.runtime, ALL, WHY))

    assert done == {Fate.UNANSWERED: 1, Fate.CANCELLED_AT_PROVIDER: 1}
    assert statuses(world) == {"client-1": "sent", "client-2": "cancelled"}


def test_a_provider_that_cannot_is_not_asked(open_world: OpenWorld) -> None:
    world = open_world(alpha=SMARTSWITCH)
    world.enqueue(messages(2))
    world.dispatch()

    assert counted(cancel_all(world.runtime, ALL, WHY)) == {Fate.CANNOT: 2}
    assert world.statuses() == {Status.SENT: 2}


def test_a_route_that_left_the_routes_file_is_withdrawn_from_and_asks_nobody(world: World) -> None:
    world.enqueue([message(1), message(2, route="beta"), message(3, route="beta")])
    world.dispatch()
    world.claim("beta", items=1)
    world.rows("UPDATE packages SET state = 'settled', poll_at = now() WHERE route = 'beta' RETURNING 1")
    world.rows("UPDATE messages SET status = 'sent' WHERE status = 'sending' RETURNING 1")
    without = {name: line for name, line in world.runtime.routes.items() if name != "beta"}

    done = counted(cancel_all(replace(world.runtime, routes=without), CancelSelection("beta"), WHY))

    assert done == {Fate.CANCELLED_QUEUED: 1, Fate.CANNOT: 1}
    world.rows("UPDATE messages SET status = 'sending' WHERE client_id = 'client-2' RETURNING 1")


def test_a_message_without_their_id_is_not_asked_about_where_they_know_no_other(
    open_world: OpenWorld,
) -> None:
    world = open_world(alpha=WEBCOM)
    world.enqueue(held(2))
    world.rows("UPDATE routes SET clock_skew = '0s' RETURNING 1")  # a clock that was read is trusted
    world.dispatch()
    world.rows("UPDATE messages SET provider_message_id = NULL WHERE client_id = 'client-1' RETURNING 1")

    assert named(world, "client-1", "client-2") == {
        "client-1": Fate.UNKNOWN,
        "client-2": Fate.CANCELLED_AT_PROVIDER,
    }


# -- what is neither


def test_what_is_on_the_wire_or_in_doubt_is_told_and_left_alone(world: World) -> None:
    world.enqueue([message(1), message(2, route="beta"), message(3)])
    world.claim(items=1)
    world.passes(minutes=2)
    world.rescue()  # the first is in doubt
    world.rows("UPDATE messages SET due_at = now() WHERE client_id = 'client-3' RETURNING 1")
    world.claim(items=1)
    world.dispatch("beta")  # a job
    before = statuses(world)
    assert before == {"client-1": "in_doubt", "client-2": "sending", "client-3": "sending"}

    done = counted(cancel_all(world.runtime, ALL, WHY))

    assert done == {Fate.IN_DOUBT: 1, Fate.ON_THE_WIRE: 2}
    assert named(world, *before) == {
        "client-1": Fate.IN_DOUBT,
        "client-2": Fate.ON_THE_WIRE,
        "client-3": Fate.ON_THE_WIRE,
    }
    assert statuses(world) == before
    assert world.provider.requests("delete") == 0


# -- by name


def test_named_messages_each_have_their_fate(open_world: OpenWorld) -> None:
    world = open_world(alpha=HOLDS)
    world.enqueue([later(1), message(2)])
    world.dispatch()
    world.enqueue([message(3, route="beta"), message(4, route="beta")])
    named(world, "client-4")

    assert named(world, "client-1", "client-3", "client-4", "nobody") == {
        "client-1": Fate.CANCELLED_AT_PROVIDER,
        "client-3": Fate.CANCELLED_QUEUED,
        "client-4": Fate.CANCELLED_BEFORE,
        "nobody": Fate.UNKNOWN,
    }
    assert statuses(world)["client-2"] == "sent"


def test_a_message_at_its_end_is_too_late(world: World) -> None:
    world.enqueue(messages(1))
    world.until_final()

    assert named(world, "client-1") == {"client-1": Fate.TOO_LATE}


def test_names_are_taken_in_bounded_steps(world: World) -> None:
    world.enqueue(messages(2500))

    steps = list(cancel_names(world.runtime, [f"client-{number}" for number in range(1, 2501)], WHY))

    assert [len(step) for step in steps] == [1000, 1000, 500]
    assert world.statuses() == {Status.CANCELLED: 2500}


def test_an_answer_that_stands_where_another_client_looks_for_it_is_taken_too(open_world: OpenWorld) -> None:
    told_elsewhere = replace(ENDLESS, alphasms=AlphasmsOptions(delete_in="status"))
    world = open_world(provider=told_elsewhere, alpha=HOLDS)
    world.enqueue([later()])
    world.dispatch()
    assert world.statuses() == {Status.SENT: 1}

    [fates] = cancel_names(world.runtime, ["client-1"], WHY)

    assert fates == {"client-1": Fate.CANCELLED_AT_PROVIDER}
    assert world.statuses() == {Status.CANCELLED: 1}
