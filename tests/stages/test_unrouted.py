"""What names a route that this worker does not know waits for one that does, and loses nothing on the way."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake, Unrouted
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.ingest import IDLE, PATIENCE, UNKNOWN, Ingested
from tests.factories import message, messages
from tests.stages.mortal import Died, Fate, mortal
from tests.stages.test_ingest import nothing_is_left, raw_entry
from tests.stages.world import World

GAMMA = Unrouted(Lane.BULK, "gamma")


def renamed(line: Route, name: str, **changes: object) -> Route:
    return replace(line, config=replace(line.config, name=name, **changes))  # type: ignore[arg-type]


def newer(world: World) -> Runtime:
    """A worker whose routes file has gamma, too."""
    gamma = {"gamma": renamed(world.line(), "gamma", region="UA")}
    return replace(world.runtime, routes={**world.runtime.routes, **gamma})


def set_aside(intake: Intake) -> Mapping[Unrouted, int]:
    return {one.place: one.messages for one in intake.unrouted()}


def wait_for(intake: Intake, place: Unrouted, *, ago: timedelta, number: int) -> None:
    """One message, set aside so long ago."""
    seconds, _ = intake.client.time()
    stream = f"worker:intake:{place.lane.value}:unrouted"
    offered = json.dumps([message(number, route=place.route).as_dict()])
    written = f"{int((seconds - ago.total_seconds()) * 1000)}-{number}"
    intake.client.sadd(stream, place.route)
    intake.client.xadd(f"{stream}:{place.route}", {"n": 1, "m": offered}, id=written)
    intake.client.incrby(f"{stream}:{place.route}:waiting", 1)


def test_the_known_of_an_entry_go_in_and_the_others_wait_by_their_route(world: World, intake: Intake) -> None:
    gamma, delta = (message(n, route=name) for n, name in ((3, "gamma"), (4, "delta")))
    raw_entry(
        intake, *(m.as_dict() for m in (message(1), gamma, message(2), delta, message(5, route="gamma")))
    )

    assert world.ingest() == Ingested(new=2, unrouted=3)

    assert world.statuses() == {Status.QUEUED: 2}
    assert set_aside(intake) == {GAMMA: 2, Unrouted(Lane.BULK, "delta"): 1}
    assert intake.dead_letters() == 0
    assert nothing_is_left(intake)  # the lane itself is free


def test_what_waits_is_neither_read_nor_moved_by_who_does_not_know_its_route(
    world: World, intake: Intake
) -> None:
    intake.add(Lane.BULK, messages(3, route="gamma"))
    world.ingest()

    assert [world.ingest(), world.ingest()] == [Ingested(), Ingested()]

    assert set_aside(intake) == {GAMMA: 3}


def test_who_knows_the_route_enters_what_waited_for_it_and_nothing_is_left(
    world: World, intake: Intake
) -> None:
    intake.add(Lane.BULK, [*messages(3, route="gamma"), message(4, route="delta")])
    world.ingest()

    assert world.ingest(Lane.BULK, newer(world)) == Ingested(new=3)

    assert {world.message(n).route for n in (1, 2, 3)} == {"gamma"}
    assert ("dispatch", "gamma:bulk") in world.notified
    assert set_aside(intake) == {Unrouted(Lane.BULK, "delta"): 1}
    assert not intake.client.keys("worker:intake:bulk:unrouted:gamma*")


def test_lanes_wait_apart(world: World, intake: Intake) -> None:
    intake.add(Lane.URGENT, [message(1, route="gamma", lane="urgent")])
    world.ingest(Lane.URGENT)

    assert world.ingest(Lane.BULK, newer(world)) == Ingested()
    assert world.ingest(Lane.URGENT, newer(world)) == Ingested(new=1)


def test_what_names_no_route_waits_for_a_default(world: World, intake: Intake) -> None:
    raw_entry(intake, {name: value for name, value in message(1).as_dict().items() if name != "route"})

    assert world.ingest() == Ingested(unrouted=1)
    assert set_aside(intake) == {Unrouted(Lane.BULK, ""): 1}

    default = {"beta": renamed(world.line("beta"), "beta", default=True)}
    known = replace(world.runtime, routes={**world.runtime.routes, **default})
    assert world.ingest(Lane.BULK, known) == Ingested(new=1)
    assert world.message(1).route == "beta"


def test_a_number_whose_country_its_route_may_tell_waits_for_that(world: World, intake: Intake) -> None:
    raw_entry(intake, {**message(1, route="gamma").as_dict(), "recipient": "093 000 00 01", "text": "Hi"})

    assert world.ingest() == Ingested(unrouted=1)

    assert world.ingest(Lane.BULK, newer(world)) == Ingested(new=1)
    assert world.message(1).recipient == "+380930000001"


def test_what_the_route_cannot_carry_after_all_is_buried(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1, route="gamma", sender="S" * 12)])  # who does not know it cannot tell
    world.ingest()

    assert world.ingest(Lane.BULK, newer(world)) == Ingested(dead=1)
    assert not intake.unrouted()


@pytest.mark.parametrize("steps", range(5))
def test_a_process_that_dies_while_it_sets_aside_loses_nothing(
    world: World, intake: Intake, steps: int
) -> None:
    raw_entry(intake, message(1).as_dict(), message(2, route="gamma").as_dict())
    fate = Fate(steps)

    with pytest.raises(Died):
        world.ingest(Lane.BULK, mortal(world.runtime, fate))

    acknowledged = fate.last == "after acknowledging"
    assert set_aside(intake) == ({GAMMA: 1} if acknowledged else {})
    assert intake.waiting()[Lane.BULK] == (0 if acknowledged else 2)
    world.passes(seconds=11)
    world.ingest()
    world.ingest(Lane.BULK, newer(world))
    assert world.statuses() == {Status.QUEUED: 2}
    assert nothing_is_left(intake)
    assert not intake.unrouted()


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_process_that_dies_over_what_waited_leaves_it_to_the_next(
    world: World, intake: Intake, steps: int
) -> None:
    intake.add(Lane.BULK, messages(2, route="gamma"))
    world.ingest()
    fate = Fate(steps)

    with pytest.raises(Died):
        world.ingest(Lane.BULK, mortal(newer(world), fate))

    world.passes(seconds=IDLE.total_seconds() + 1)
    world.ingest(Lane.BULK, newer(world))
    assert world.statuses() == {Status.QUEUED: 2}
    assert not intake.unrouted()
    assert not intake.client.keys("worker:intake:bulk:unrouted*")


def test_what_has_waited_a_week_for_its_route_is_a_dead_letter_and_the_rest_waits_on(
    world: World, intake: Intake
) -> None:
    wait_for(intake, GAMMA, ago=PATIENCE + timedelta(hours=1), number=1)
    wait_for(intake, GAMMA, ago=PATIENCE - timedelta(hours=1), number=2)

    assert world.ingest() == Ingested(dead=1)

    [(_, letter)] = intake.read_dead()
    assert letter["reason"] == "route: nobody knew it for 7 days"
    assert json.loads(letter["content"]) == message(1, route="gamma").as_dict()
    assert set_aside(intake) == {GAMMA: 1}


def test_who_knows_the_route_enters_what_has_waited_for_longer_than_a_week(
    world: World, intake: Intake
) -> None:
    wait_for(intake, GAMMA, ago=PATIENCE * 2, number=1)

    assert world.ingest(Lane.BULK, newer(world)) == Ingested(new=1)


def test_a_column_gone_astray_is_buried_once_a_hundred_routes_are_waited_for(
    world: World, intake: Intake
) -> None:
    intake.add(Lane.BULK, [message(n, route=f"order-{n}") for n in range(UNKNOWN + 5)])

    assert world.ingest() == Ingested(unrouted=UNKNOWN, dead=5)

    intake.add(Lane.BULK, [message(900, route="order-1"), message(901, route="order-901")])
    assert world.ingest() == Ingested(unrouted=1, dead=1)
    assert sum(set_aside(intake).values()) == UNKNOWN + 1
    assert "100 others are waited for" in intake.read_dead()[0][1]["reason"]


def test_the_log_shows_no_number_that_stands_where_a_route_should(
    world: World, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    intake.add(Lane.BULK, [message(1, route="380931110001"), message(2, route="gamma")])

    world.ingest()

    assert "route=gamma" in caplog.text
    assert "route=<12 characters>" in caplog.text
    assert "380931110001" not in caplog.text
