"""Resolve: a person's word about what is in doubt, chunk by chunk."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import Doubtful, DoubtSelection, Resolution, in_doubt
from bulk_dispatch.ledger.transitions import Transition, settle
from bulk_dispatch.stages.outcomes import first_looks
from bulk_dispatch.stages.resolve import STRANDED, Decision, policy_of, resolve, selected, unsettled
from tests.factories import message, messages
from tests.stages.world import OpenWorld, World

SENT, REJECTED, QUEUED, IN_DOUBT = Status.SENT, Status.REJECTED, Status.QUEUED, Status.IN_DOUBT
EVERYTHING = DoubtSelection()


def doubted(world: World, offered: Sequence[Message]) -> None:
    """A package of messages in doubt, on the route of the first."""
    world.enqueue(offered)
    route = offered[0].route
    package = world.claim(route).package
    assert package is not None
    moves = [Transition(item.id, package.id, IN_DOUBT) for item in package.items]
    with world.runtime.ledger.begin() as connection:
        settle(connection, moves, first_looks(world.line(route), [package.id]))


def decide(
    world: World, resolution: Resolution, selection: DoubtSelection = EVERYTHING, size: int = 1000
) -> list[list[str]]:
    """Settle a selection; the client ids that each chunk settled."""
    ledger, decision = world.runtime.ledger, Decision(resolution, by="anna", reason="their list says so")
    found = selected(ledger, selection, size)
    steps = resolve(ledger, world.runtime.routes, found, decision)
    return [[message.client_id for message in settled] for settled in steps]


@pytest.mark.parametrize(
    ("resolution", "status"),
    [(Resolution.SENT, SENT), (Resolution.REJECTED, REJECTED), (Resolution.REQUEUE, QUEUED)],
)
def test_doubt_is_settled_as_the_person_says_and_the_record_says_who(
    world: World, resolution: Resolution, status: Status
) -> None:
    doubted(world, messages(2))

    assert decide(world, resolution) == [["client-1", "client-2"]]

    assert world.statuses() == {status: 2}
    assert world.history().events[-1].note == "resolved by anna: their list says so"


def test_each_chunk_is_committed_before_the_next_is_begun(world: World) -> None:
    doubted(world, messages(5))
    ledger, decision = world.runtime.ledger, Decision(Resolution.SENT, "anna", "seen")
    steps = resolve(ledger, world.runtime.routes, selected(ledger, EVERYTHING, 2), decision)

    counts = []
    for _ in steps:
        counts.append(world.statuses().get(SENT, 0))
        if len(counts) == 2:
            break  # as if interrupted

    assert counts == [2, 4]
    assert world.statuses() == {SENT: 4, IN_DOUBT: 1}
    assert decide(world, Resolution.SENT) == [["client-5"]]  # and said again


def test_what_falls_in_doubt_later_or_is_settled_meanwhile_is_not_meant(world: World) -> None:
    doubted(world, messages(2))
    ledger = world.runtime.ledger
    found = selected(ledger, EVERYTHING)
    doubted(world, [message(3)])
    decide(world, Resolution.SENT, DoubtSelection(client_ids=["client-1"]))

    steps = resolve(ledger, world.runtime.routes, found, Decision(Resolution.REJECTED, "anna", "seen"))

    assert [[one.client_id for one in settled] for settled in steps] == [["client-2"]]
    assert world.statuses() == {SENT: 1, REJECTED: 1, IN_DOUBT: 1}


def test_what_is_settled_as_sent_is_asked_about_when_its_route_says(open_world: OpenWorld) -> None:
    world = open_world(alpha={"poll_first": "7m"})
    doubted(world, [message(1)])

    decide(world, Resolution.SENT)

    (package,) = world.packages()
    assert timedelta(minutes=6) < package.poll_in <= timedelta(minutes=7)


def test_what_lies_on_a_route_that_has_left_is_settled_too(world: World) -> None:
    doubted(world, [message(1)])
    world = replace(world, runtime=replace(world.runtime, routes={}))

    decide(world, Resolution.SENT)

    (package,) = world.packages()
    assert timedelta(0) < package.poll_in <= STRANDED.poll
    assert world.statuses() == {SENT: 1}


def test_where_those_stand_that_were_named_and_are_not_settled(world: World) -> None:
    doubted(world, messages(2))
    world.enqueue([message(3)])
    named = DoubtSelection(client_ids=["client-1", "client-2", "client-3", "client-9"])

    left = unsettled(world.runtime.ledger, named, settled={"client-1"})

    assert left == {"client-2": IN_DOUBT, "client-3": QUEUED, "client-9": None}
    assert unsettled(world.runtime.ledger, EVERYTHING, settled=set()) == {}


# -- what settles doubt


POLICIES = {
    "the route's": ({"in_doubt": "hold"}, None, False, (DoubtPolicy.HOLD, "route")),
    "its own": ({"in_doubt": "hold"}, "fail", False, (DoubtPolicy.FAIL, "message")),
    "the route's, where it asks": ({"in_doubt": "ask"}, "fail", False, (DoubtPolicy.ASK, "route")),
    "held for a collision": ({"in_doubt": "ask"}, "resend", True, (DoubtPolicy.HOLD, "collision")),
    "its own, of a route that has left": (None, "fail", False, (DoubtPolicy.FAIL, "message")),
    "nobody's, of a route that has left": (None, None, False, (None, None)),
}


@pytest.mark.parametrize(("route", "own", "collided", "expected"), POLICIES.values(), ids=POLICIES)
def test_what_settles_doubt_and_what_says_so(
    open_world: OpenWorld,
    route: dict[str, object] | None,
    own: str | None,
    collided: bool,
    expected: tuple[DoubtPolicy | None, str | None],
) -> None:
    world = open_world(alpha=route or {})
    doubted(world, [message(1)])
    with world.runtime.ledger.snapshot() as connection:
        (found,) = in_doubt(connection, EVERYTHING, None).messages
    about: Doubtful = replace(found, own=DoubtPolicy(own) if own else None, collided=collided)

    assert policy_of(about, world.line() if route else None) == expected
