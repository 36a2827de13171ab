"""The suppression list among the stages: at claim, in the queue at once, and at providers that hold
messages."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.cancel import Fate, cancel_listed
from bulk_dispatch.stages.dispatch import Dispatched
from tests.factories import message, messages
from tests.stages.world import ENDLESS, KEY, LOGIN, PASSWORD, OpenWorld, World

HOLDS: dict[str, object] = {"schedule_ahead": "2h"}
WEBCOM: dict[str, object] = {"provider": "webcom-xml", "token": KEY, **HOLDS}
HTTP: dict[str, object] = {"provider": "alphasms-http", **HOLDS}
SMARTSWITCH: dict[str, object] = {"provider": "smartswitch", "login": LOGIN, "password": PASSWORD}


def number(which: int) -> str:
    return message(which).recipient


def later(which: int) -> Message:
    """A message that leaves in an hour."""
    return message(which, send_at=datetime.now(UTC) + timedelta(hours=1))


def stop(world: World, *which: int) -> None:
    with world.runtime.ledger.begin() as connection:
        suppress(connection, [number(one) for one in which])


def withdrawn(world: World, numbers: Sequence[str] = ()) -> dict[Fate, int]:
    total: Counter[Fate] = Counter()
    for step in cancel_listed(world.runtime, "asked by phone", numbers):
        total.update(step)
    return {fate: count for fate, count in total.items() if count}


def statuses(world: World) -> list[str]:
    return [row.status for row in world.rows("SELECT status FROM messages ORDER BY id")]


def test_what_was_queued_before_its_number_was_stopped_does_not_leave(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.enqueue(messages(3))
    stop(world, 2)

    with caplog.at_level(logging.INFO):
        assert world.dispatch() == Dispatched(packages=1, messages=2, suppressed=1, reason="nothing is due")

    assert world.provider.taken == 2
    assert world.walked(2) == ["queued", "suppressed"]
    assert "suppressed_at_claim route=alpha messages=1" in caplog.messages
    assert number(2) not in caplog.text
    world.promise_holds()


def test_what_was_scheduled_before_its_number_was_stopped_does_not_leave(world: World) -> None:
    world.enqueue([later(1)])
    stop(world, 1)
    world.passes(hours=2)

    assert world.dispatch().suppressed == 1
    assert (world.provider.taken, world.walked()) == (0, ["queued", "suppressed"])


def test_a_queue_of_nothing_but_stopped_numbers_is_gone_through(world: World) -> None:
    world.enqueue(messages(5))
    stop(world, *range(1, 6))

    assert world.dispatch() == Dispatched(
        suppressed=5, more=True, reason="all that was due is on the suppression list"
    )
    assert world.dispatch().more is False
    assert world.packages() == []


def test_what_is_queued_for_the_list_is_suppressed_at_once_in_every_route_and_lane(world: World) -> None:
    world.enqueue([message(1), message(2, lane=Lane.URGENT), message(3, route="beta"), later(4), message(5)])
    stop(world, 1, 2, 3, 4)

    assert withdrawn(world) == {Fate.CANCELLED_QUEUED: 4}

    assert statuses(world) == ["suppressed"] * 4 + ["queued"]
    last = world.history(1).events[-1]
    assert (last.type, last.note) == ("cancel", "asked by phone")
    assert withdrawn(world) == {}


@pytest.mark.parametrize("route", [HOLDS, WEBCOM, HTTP], ids=["alphasms-xml", "webcom-xml", "alphasms-http"])
def test_what_a_provider_holds_for_a_stopped_number_is_cancelled_there_and_the_rest_stays(
    open_world: OpenWorld, route: dict[str, object]
) -> None:
    world = open_world(alpha=route)
    world.enqueue([later(1), later(2), later(3)])
    world.rows("UPDATE routes SET clock_skew = '0s' RETURNING 1")  # a clock that was read is trusted
    world.dispatch()
    stop(world, 2)

    assert withdrawn(world) == {Fate.CANCELLED_AT_PROVIDER: 1}

    assert statuses(world) == ["sent", "cancelled", "sent"]
    assert world.walked(2) == ["queued", "sending", "sent", "cancelled"]
    assert world.history(2).events[-1].note == "asked by phone"


def test_of_given_numbers_only_what_is_under_way_for_them_is_meant(open_world: OpenWorld) -> None:
    world = open_world(alpha=HOLDS)
    world.enqueue([later(1), later(2)])
    world.dispatch()
    stop(world, 1, 2)

    assert withdrawn(world, [number(1), number(3)]) == {Fate.CANCELLED_AT_PROVIDER: 1}
    assert statuses(world) == ["cancelled", "sent"]


def test_what_has_left_is_too_late_and_what_cannot_be_called_back_is_told(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, alpha={}, beta=SMARTSWITCH)
    world.enqueue([message(1), message(2, route="beta")])
    world.dispatch()
    world.dispatch("beta")
    world.enqueue([message(3)])
    world.claim()
    stop(world, 1, 2, 3)

    assert withdrawn(world) == {Fate.ON_THE_WIRE: 1, Fate.TOO_LATE: 1, Fate.CANNOT: 1}
    assert statuses(world) == ["sent", "sent", "sending"]


def test_nobody_is_asked_who_holds_nothing_for_the_list(open_world: OpenWorld) -> None:
    world = open_world(alpha=HOLDS)
    world.enqueue([later(1)])
    world.dispatch()
    stop(world, 2)

    assert withdrawn(world) == {}
    assert world.provider.requests("delete") == 0


def test_whom_a_provider_names_gets_nothing_that_is_queued_on_another_route(open_world: OpenWorld) -> None:
    theirs = replace(ENDLESS, webcom=WebcomOptions(stop_list=frozenset({number(1)[1:]})))
    world = open_world(provider=theirs, webcom={})
    world.enqueue([message(1, route="webcom"), message(1, client_id="client-2")])

    world.dispatch("webcom")

    assert world.dispatch().suppressed == 1
    assert statuses(world)[1] == "suppressed"
