"""A route that is given another account: what left by the old one is not asked about at the new one."""

from dataclasses import replace
from typing import Any

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import DoubtSelection, elsewhere, in_doubt
from bulk_dispatch.routing import build_route
from bulk_dispatch.stages.cancel import Fate, cancel_names
from tests.factories import messages
from tests.stages.world import ENDLESS, KIND, LOGIN, PASSWORD, OpenWorld, World

DELIVERED, IN_DOUBT, SENT = Status.DELIVERED, Status.IN_DOUBT, Status.SENT


def doubtful(world: World, route: str) -> None:
    """Messages they have, and did not tell so."""
    world.enqueue(messages(4, route=route))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch(route)
    world.provider.settle_down()
    assert world.statuses() == {IN_DOUBT: 4}


def changed(world: World, route: str, **changes: Any) -> World:
    """The same ledger; the route's table has changed."""
    now = build_route(replace(world.line(route).config, **changes))
    return replace(world, runtime=replace(world.runtime, routes={**world.runtime.routes, route: now}))


def elsewhere_now(world: World, other: World, route: str) -> World:
    """The same ledger; the route is an account at another provider."""
    return changed(world, route, url=other.provider.url)


@pytest.mark.parametrize("route", ["alpha", "beta", "webcom"])
@pytest.mark.slow
def test_doubt_is_settled_by_the_account_it_left_by_and_no_other(open_world: OpenWorld, route: str) -> None:
    world = open_world(webcom={})
    doubtful(world, route)
    moved = elsewhere_now(world, open_world(provider=KIND), route)

    for _ in range(4):
        moved.passes(minutes=11)
        assert moved.rescue(route).requeued == 0
    assert moved.statuses() == {IN_DOUBT: 4}
    assert world.until_final(route) == {DELIVERED: 4}

    assert world.provider.taken == 4


def test_what_is_new_leaves_by_the_new_account_meanwhile(open_world: OpenWorld) -> None:
    world = open_world()
    doubtful(world, "alpha")
    other = open_world(provider=KIND)
    moved = elsewhere_now(world, other, "alpha")
    moved.passes(seconds=11)  # its failure paused the route
    moved.enqueue(messages(7, route="alpha")[4:])

    moved.dispatch("alpha")

    assert other.provider.taken == 3
    assert moved.statuses()[IN_DOUBT] == 4


@pytest.mark.parametrize("route", ["alpha", "webcom"])
def test_another_offset_is_another_name_for_every_message(open_world: OpenWorld, route: str) -> None:
    world = open_world(webcom={})
    doubtful(world, route)
    offset = changed(world, route, reference_offset=1000)

    for _ in range(4):
        offset.passes(minutes=11)
        offset.rescue(route)

    assert offset.statuses() == {IN_DOUBT: 4}
    assert world.until_final(route) == {DELIVERED: 4}


@pytest.mark.slow
def test_a_job_left_elsewhere_is_in_doubt_until_its_account_is_back(open_world: OpenWorld) -> None:
    world = open_world()
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    other = open_world(provider=KIND)
    moved = elsewhere_now(world, other, "beta")

    for _ in range(4):
        moved.passes(minutes=11)
        moved.poll("beta")
        moved.rescue("beta")

    assert other.provider.requests("job") + other.provider.requests("status") == 0
    assert moved.statuses() == {IN_DOUBT: 4}
    assert world.until_final("beta") == {DELIVERED: 4}


def test_what_was_sent_elsewhere_is_neither_asked_about_nor_cancelled(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    offered = messages(4, route="alpha")
    world.enqueue(offered)
    world.dispatch("alpha")
    other = open_world(provider=KIND)
    moved = elsewhere_now(world, other, "alpha")

    moved.passes(minutes=1)
    moved.poll("alpha")
    [fates] = cancel_names(moved.runtime, [one.client_id for one in offered], "")

    assert set(fates.values()) == {Fate.CANNOT}
    assert other.provider.requests("status") + other.provider.requests("delete") == 0
    assert moved.statuses() == {SENT: 4}
    moved.passes(days=7)
    moved.poll("alpha")
    assert moved.statuses() == {Status.UNCONFIRMED: 4}


def test_halves_remember_their_account(open_world: OpenWorld) -> None:
    world = open_world()
    world.enqueue(messages(4, route="alpha"))
    world.provider.script({"do": "error", "code": 201, "times": 1}, {"do": "drop_after", "times": 2})
    world.dispatch("alpha")
    assert world.statuses() == {IN_DOUBT: 4}

    with world.runtime.ledger.begin() as connection:
        left = {one.account for one in in_doubt(connection, DoubtSelection(), None).messages}
        assert left == {world.line("alpha").config.account_id}


def test_what_was_left_elsewhere_is_counted(open_world: OpenWorld) -> None:
    world = open_world()
    doubtful(world, "alpha")
    ours = world.line("alpha").config.account_id
    with world.runtime.ledger.begin() as connection:
        assert elsewhere(connection, {"alpha": [ours], "beta": ["x"]}) == {}
        assert elsewhere(connection, {"alpha": ["another", "a third"], "beta": ["x"]}) == {"alpha": 4}


# -- a named account, its credentials renewed: a login for the key, which is the same account to the sandbox

RENEWED: dict[str, Any] = {"key": "", "token": "", "login": LOGIN, "password": PASSWORD}
NAMED: dict[str, object] = {"account": "main"}


def renewed(world: World, route: str, **more: Any) -> World:
    """The same ledger and the same account; the credentials are others."""
    return changed(world, route, **RENEWED, **more)


@pytest.mark.parametrize("route", ["alpha", "beta", "webcom"])
def test_given_a_named_account_when_its_key_is_renewed_then_doubt_is_settled_with_the_new_one(
    open_world: OpenWorld, route: str
) -> None:
    world = open_world(**{"alpha": NAMED, "beta": NAMED, "webcom": {}, route: NAMED})
    doubtful(world, route)

    assert renewed(world, route).until_final(route) == {DELIVERED: 4}

    assert world.provider.taken == 4


@pytest.mark.parametrize("route", ["alpha", "beta", "plain", "webcom"])
def test_given_a_named_account_when_its_key_is_renewed_then_what_is_under_way_is_asked_for_with_the_new_one(
    open_world: OpenWorld, route: str
) -> None:
    world = open_world(**{route: NAMED})
    world.enqueue(messages(4, route=route))
    world.dispatch(route)
    world.provider.settle_down()

    assert renewed(world, route).until_final(route) == {DELIVERED: 4}

    assert world.provider.taken == 4


def test_given_an_account_without_a_name_when_its_key_is_renewed_then_doubt_waits_for_the_old_one(
    open_world: OpenWorld,
) -> None:
    world = open_world()
    doubtful(world, "alpha")
    other = renewed(world, "alpha")

    for _ in range(4):
        other.passes(minutes=11)
        other.rescue("alpha")

    assert other.statuses() == {IN_DOUBT: 4}
    assert world.until_final("alpha") == {DELIVERED: 4}


def test_given_an_account_named_before_its_key_is_renewed_then_what_left_without_the_name_goes_by_it(
    open_world: OpenWorld,
) -> None:
    world = open_world()
    doubtful(world, "alpha")
    named = changed(world, "alpha", **NAMED)
    assert named.line().knows(world.line().config.account_id), "until the key is renewed it needs no name"

    named.runtime.knowing(named.runtime.routes)

    assert {package.account for package in named.packages()} == {"alphasms-xml=main"}
    assert renewed(named, "alpha").until_final("alpha") == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_given_a_name_and_a_new_key_at_once_then_what_left_before_is_another_account_s(
    open_world: OpenWorld,
) -> None:
    world = open_world()
    doubtful(world, "alpha")
    both = renewed(world, "alpha", **NAMED)

    both.runtime.knowing(both.runtime.routes)

    assert not both.line().knows(world.line().config.account_id)
    with both.runtime.ledger.begin() as connection:
        assert elsewhere(connection, {"alpha": both.line().config.account_ids}) == {"alpha": 4}
    assert world.until_final("alpha") == {DELIVERED: 4}


def test_given_a_named_account_then_another_name_or_offset_is_another_account(open_world: OpenWorld) -> None:
    world = open_world(alpha=NAMED)
    doubtful(world, "alpha")
    left = world.line().config.account_id

    assert renewed(world, "alpha").line().knows(left)
    assert changed(world, "alpha", url="https://new.example").line().knows(left)
    assert not changed(world, "alpha", account="other").line().knows(left)
    assert not changed(world, "alpha", reference_offset=1000).line().knows(left)
    assert not changed(world, "alpha", account="").line().knows(left)
