"""Collisions: the provider knows other messages by our ids; what it tells of them is never told of ours."""

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from bulk_dispatch.domain.content import Sms
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.http_client import Transport
from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.in_doubt import DoubtSelection, Resolution, chunks, in_doubt, resolve
from bulk_dispatch.ledger.routes import open_route
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Reply, Request
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.cancel import Fate, cancel_names
from bulk_dispatch.stages.outcomes import first_look
from bulk_dispatch.stages.poll import poll
from bulk_dispatch.stages.receipts import match, take
from tests.factories import message, messages
from tests.stages.test_accounts import changed
from tests.stages.world import ENDLESS, KIND, OpenWorld, World
from tests.waiting import eventually

DELIVERED, IN_DOUBT, SENT, QUEUED = Status.DELIVERED, Status.IN_DOUBT, Status.SENT, Status.QUEUED
SAYS_SO: SandboxOptions = replace(KIND, webcom=WebcomOptions(repeat="text"))
SAYS_BOTH: SandboxOptions = replace(KIND, webcom=WebcomOptions(repeat="both"))


def strangers_use(world: World, route: str, many: int) -> None:
    """Another ledger has sent so many messages there, under the ids that ours gives out next."""
    [row] = world.rows("SELECT last_value + is_called::int AS next FROM message_reference")
    use(world, route, row.next, many)


def use(world: World, route: str, first: int, many: int) -> None:
    """Another ledger has sent so many messages there, under the ids from the first on."""
    line = world.line(route)
    items = [
        OutboundMessage(n, first + n, f"+38067000{n:04d}", "Others", Sms(f"not ours {n}"))
        for n in range(many)
    ]
    before = world.provider.taken
    world.runtime.exchange(line.config, line.dialect.submit(items), inf)
    assert world.provider.taken == before + many
    world.provider.settle_down()


def sent_after_all(world: World, by: str = "1 hour") -> None:
    """Our messages left so long after whatever has happened at the provider until now."""
    world.rows(f"UPDATE packages SET opened_at = now() + interval '{by}' RETURNING id")


def until_in_doubt(world: World, route: str, many: int) -> None:
    """Poll on, whatever the clocks say, until so many are in doubt and nothing else is."""

    def polled() -> bool:
        world.rows("UPDATE packages SET poll_at = now() WHERE poll_at IS NOT NULL RETURNING id")
        world.poll(route)
        return world.statuses() == {IN_DOUBT: many}

    eventually(polled)


def ask_about_doubt(world: World, route: str) -> None:
    """Rescue, whatever the clocks say."""
    world.rows("UPDATE packages SET rescue_at = now() WHERE rescue_at IS NOT NULL RETURNING id")
    world.rescue(route)


def held(world: World, many: int, route: str) -> None:
    """So many messages are held for a collision, and will be; the route is stopped and says why."""
    assert world.statuses() == {IN_DOUBT: many}
    assert world.rows("SELECT DISTINCT type FROM events WHERE to_status = 'in_doubt'") == [("collide",)]
    stopped = world.route(route)
    assert (stopped.state, stopped.reason.partition(":")[0]) == ("stopped", "collision")
    for words in ("another ledger has used", "reference_offset", f"worker routes resume {route}"):
        assert words in stopped.reason
    taken = world.provider.taken
    for _ in range(3):
        world.passes(minutes=11)
        world.all_stages_once(route)
    assert world.statuses() == {IN_DOUBT: many}, "nobody asks about them, and nobody sends them again"
    assert world.provider.taken == taken
    with world.runtime.ledger.begin() as connection:
        listed = in_doubt(connection, DoubtSelection(route=route), None)
    assert listed.total == many
    assert all(
        "first sent" in (one.reason or "") or "before we sent any" in (one.reason or "")
        for one in listed.messages
    )


def settled_by_a_person(world: World, route: str, resolution: Resolution, *, collided: bool = False) -> None:
    looks = first_look(world.line(route))
    with world.runtime.ledger.begin() as connection:
        open_route(connection, route)
        for chunk in chunks(connection, DoubtSelection(route=route, collided=collided)):
            resolve(connection, chunk, resolution, looks=lambda _: looks, note="test")


# -- a used id on a first attempt


def test_an_id_that_is_used_on_the_first_attempt_is_a_strangers(open_world: OpenWorld) -> None:
    world = open_world()
    strangers_use(world, "alpha", 5)
    world.enqueue(messages(5))

    world.dispatch()

    held(world, 5, "alpha")
    assert "code 208" in world.route().reason


@pytest.mark.parametrize("policy", ["hold", "resend", "fail"])
def test_what_collided_is_held_whatever_the_policy(open_world: OpenWorld, policy: str) -> None:
    world = open_world(alpha={"in_doubt": policy})
    strangers_use(world, "alpha", 3)
    world.enqueue(messages(3, in_doubt=policy))

    world.dispatch()

    held(world, 3, "alpha")


@pytest.mark.parametrize("options", [SAYS_SO, SAYS_BOTH])
def test_already_sent_on_the_first_attempt_is_a_strangers(
    open_world: OpenWorld, options: SandboxOptions
) -> None:
    world = open_world(provider=options, webcom={})
    strangers_use(world, "webcom", 4)
    world.enqueue(messages(4, route="webcom"))

    world.dispatch("webcom")

    held(world, 4, "webcom")
    assert [
        row.provider_message_id for row in world.rows("SELECT DISTINCT provider_message_id FROM messages")
    ] == [None]


def test_of_one_package_the_ids_that_are_free_are_sent_and_the_others_held(open_world: OpenWorld) -> None:
    world = open_world()
    strangers_use(world, "alpha", 2)
    world.enqueue(messages(5))

    world.dispatch()

    assert world.statuses() == {IN_DOUBT: 2, SENT: 3}
    assert world.route().state == "stopped"
    world.provider.settle_down()
    world.passes(minutes=1)
    world.poll()
    assert world.statuses() == {IN_DOUBT: 2, DELIVERED: 3}


@pytest.mark.parametrize("route", ["alpha", "webcom"])
def test_a_repeat_of_ours_is_told_from_a_collision(open_world: OpenWorld, route: str) -> None:
    """The first answer was lost: they have it, and say so to the second."""
    world = open_world(provider=SAYS_SO, webcom={})
    world.enqueue(messages(3, route=route))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch(route)
    world.provider.script()
    settled_by_a_person(world, route, Resolution.REQUEUE)

    world.dispatch(route)

    assert {row.type for row in world.rows("SELECT DISTINCT type FROM events")}.isdisjoint({"collide"})
    if route == "alpha":  # who can be asked is asked; by "already sent" alone nobody can be
        assert world.until_final(route) == {DELIVERED: 3}
    assert world.statuses() == {DELIVERED if route == "alpha" else SENT: 3}
    assert world.provider.taken == 3


def test_ids_of_its_own_let_them_all_go(open_world: OpenWorld) -> None:
    world = open_world()
    strangers_use(world, "alpha", 5)
    world.enqueue(messages(5))
    world.dispatch()

    world = changed(world, "alpha", reference_offset=1_000_000)
    settled_by_a_person(world, "alpha", Resolution.REQUEUE)

    assert world.until_final("alpha") == {DELIVERED: 5}
    assert world.provider.taken == 10


def test_the_way_out_leaves_ordinary_doubt_alone(open_world: OpenWorld) -> None:
    """Three were sent and their answer was lost; then two of others collide."""
    world = open_world()
    world.enqueue(messages(3))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch()
    world.provider.script()
    strangers_use(world, "alpha", 2)
    world.enqueue([message(4), message(5)])
    world.mend()
    world.dispatch()
    assert world.statuses() == {IN_DOUBT: 5}
    assert "worker resolve --collided --route alpha --as requeue" in world.route().reason

    world = changed(world, "alpha", reference_offset=1_000_000)
    settled_by_a_person(world, "alpha", Resolution.REQUEUE, collided=True)
    world.dispatch()

    assert world.statuses() == {IN_DOUBT: 3, SENT: 2}


def test_requeued_under_the_same_ids_they_collide_again(open_world: OpenWorld) -> None:
    world = open_world()
    strangers_use(world, "alpha", 5)
    world.enqueue(messages(5))
    world.dispatch()

    settled_by_a_person(world, "alpha", Resolution.REQUEUE)
    world.dispatch()

    held(world, 5, "alpha")


# -- an end before the message left


EARLY = ("alpha", "beta", "plain", "webcom")
"""Whoever tells when something happened."""


@pytest.mark.parametrize("route", EARLY)
def test_an_end_before_the_message_left_is_a_strangers(open_world: OpenWorld, route: str) -> None:
    world = open_world(**{route: {}})
    world.enqueue(messages(3, route=route))
    world.dispatch(route)
    world.provider.settle_down()
    sent_after_all(world)

    for _ in range(3):
        world.rows("UPDATE packages SET poll_at = now() WHERE poll_at IS NOT NULL RETURNING id")
        world.poll(route)

    held(world, 3, route)
    assert "clock_tolerance" in world.route(route).reason


@pytest.mark.parametrize("route", ["beta", "webcom"])
def test_states_of_used_ids_are_not_taken_over(open_world: OpenWorld, route: str) -> None:
    """Neither a job nor an old number says that they are a stranger's: their ends do."""
    world = open_world(**{route: {"clock_tolerance": "2s"}})
    strangers_use(world, route, 4)
    world.enqueue(messages(4, route=route))
    world.dispatch(route)
    sent_after_all(world, "5 seconds")

    until_in_doubt(world, route, 4)
    held(world, 4, route)


@pytest.mark.slow
def test_an_id_that_was_used_while_ours_waited_for_its_time_is_a_strangers(open_world: OpenWorld) -> None:
    """Enqueued on Monday for Friday; on Wednesday another ledger used its id."""
    world = open_world(beta={})
    world.enqueue(messages(2, route="beta"))
    world.rows("UPDATE messages SET enqueued_at = now() - interval '4 days' RETURNING id")
    [row] = world.rows("SELECT min(reference) AS first FROM messages")
    use(world, "beta", row.first, 2)
    world.dispatch("beta")
    sent_after_all(world)

    until_in_doubt(world, "beta", 2)
    held(world, 2, "beta")


def test_the_end_of_a_first_sending_is_ours_however_late_the_second(open_world: OpenWorld) -> None:
    """Its answer was lost, it arrived, and an hour later it was sent again: they had it, and say so."""
    world = open_world()
    world.enqueue(messages(2))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch()
    world.provider.script()
    world.provider.settle_down()
    settled_by_a_person(world, "alpha", Resolution.REQUEUE)
    world.dispatch()
    world.rows(
        "UPDATE packages SET opened_at = now() + interval '1 hour' "
        "WHERE id > (SELECT min(id) FROM packages) RETURNING id"
    )

    world.rows("UPDATE packages SET rescue_at = now() WHERE rescue_at IS NOT NULL RETURNING id")
    world.rescue()

    assert world.statuses() == {DELIVERED: 2}
    world.promise_holds()


def test_the_states_of_messages_in_doubt_are_not_taken_over_either(open_world: OpenWorld) -> None:
    world = open_world()
    world.enqueue(messages(3))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch()
    world.provider.settle_down()
    sent_after_all(world)

    world.rows("UPDATE packages SET rescue_at = now() WHERE rescue_at IS NOT NULL RETURNING id")
    world.rescue()

    assert world.statuses() == {IN_DOUBT: 3}
    assert world.route().state == "stopped"
    assert world.walked() == ["queued", "sending", "in_doubt", "in_doubt"]


def test_what_a_cancellation_learns_is_not_taken_over_either(open_world: OpenWorld) -> None:
    world = open_world()
    world.enqueue(messages(2))
    world.dispatch()
    world.provider.settle_down()
    sent_after_all(world)

    fates = list(cancel_names(world.runtime, ["client-1", "client-2"], "asked"))

    assert fates == [{"client-1": Fate.IN_DOUBT, "client-2": Fate.IN_DOUBT}]
    held(world, 2, "alpha")


def test_a_receipt_of_an_end_before_the_message_is_a_strangers(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(2, route="webcom"))
    world.dispatch("webcom")
    ids = [
        row.provider_message_id for row in world.rows("SELECT provider_message_id FROM messages ORDER BY id")
    ]
    yesterday = datetime.now(UTC) - timedelta(days=1)

    told = [DeliveryReceipt(id_, DELIVERED, "deliver", yesterday) for id_ in ids]
    take(world.runtime.ledger, world.runtime.routes, {"webcom": told})

    held(world, 2, "webcom")


def test_no_later_receipt_settles_what_collided(open_world: OpenWorld) -> None:
    """The first one gave it away; what comes after it by the same name is a stranger's, too."""
    world = open_world(provider=ENDLESS, webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(1, route="webcom"))
    world.dispatch("webcom")
    [row] = world.rows("SELECT provider_message_id FROM messages")
    yesterday = datetime.now(UTC) - timedelta(days=1)

    for word, at in (("deliver", yesterday), ("deliver", None), ("read", datetime.now(UTC))):
        told = [DeliveryReceipt(row.provider_message_id, DELIVERED, word, at, read=word == "read")]
        take(world.runtime.ledger, world.runtime.routes, {"webcom": told})
        match(world.runtime, "webcom")

    held(world, 1, "webcom")


def test_nothing_that_names_the_strangers_message_is_kept_as_ours(open_world: OpenWorld) -> None:
    """A job is asked about by our ids: the number and the segments in the answer are the stranger's."""
    world = open_world(beta={"webhook_secret": "a-secret-of-some-length"})
    strangers_use(world, "beta", 2)
    world.enqueue(messages(2, route="beta"))
    world.dispatch("beta")
    sent_after_all(world)

    until_in_doubt(world, "beta", 2)
    assert world.rows("SELECT DISTINCT provider_message_id, segments_billed FROM messages") == [(None, None)]
    assert world.rows("SELECT provider_message_id FROM provider_message_ids") == []


def test_one_strangers_end_among_ours_leaves_the_others_their_own(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(2, route="webcom"))
    world.dispatch("webcom")
    ids = [
        row.provider_message_id for row in world.rows("SELECT provider_message_id FROM messages ORDER BY id")
    ]
    now = datetime.now(UTC)

    told = [
        DeliveryReceipt(ids[0], DELIVERED, "deliver", now - timedelta(days=1)),
        DeliveryReceipt(ids[1], DELIVERED, "deliver", now),
    ]
    take(world.runtime.ledger, world.runtime.routes, {"webcom": told})

    assert world.statuses() == {IN_DOUBT: 1, DELIVERED: 1}
    world.promise_holds()


# -- what only its instant could tell


def in_a_job(world: World) -> None:
    """Sent, and nothing said of any message until its state is asked for."""
    world.dispatch("beta")


def unanswered(world: World) -> None:
    """Sent, and the answer lost."""
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch("alpha")


@pytest.mark.parametrize(("route", "sent"), [("beta", in_a_job), ("alpha", unanswered)])
def test_an_end_without_its_instant_is_no_news_where_our_id_alone_tells(
    open_world: OpenWorld, route: str, sent: Callable[[World], None]
) -> None:
    """By that id they may know a stranger's. With its instant, which their page promises, it is ours."""
    world = open_world(beta={})
    world.enqueue(messages(2, route=route))
    sent(world)
    world.provider.script({"do": "message_code", "code": 102, "when": {"command": "status"}})
    until_in_doubt(world, route, 2)
    ask_about_doubt(world, route)
    assert world.statuses() == {IN_DOUBT: 2}
    assert world.route(route).state != "stopped"

    world.provider.script()
    world.provider.settle_down()
    ask_about_doubt(world, route)
    assert world.statuses() == {DELIVERED: 2}


def test_of_what_was_taken_under_our_id_an_end_needs_no_instant(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue(messages(2))
    world.dispatch()
    world.provider.script({"do": "message_code", "code": 102, "when": {"command": "status"}})

    world.rows("UPDATE packages SET poll_at = now() RETURNING id")
    world.poll()

    assert world.statuses() == {DELIVERED: 2}


class Undated(Transport):
    """Their states arrive without an instant."""

    def exchange(self, request: Request, **limits: Any) -> Reply | Failure:
        reply = super().exchange(request, **limits)
        if isinstance(reply, Failure):
            return reply
        return replace(reply, body=re.sub(rb' time="[^"]*"', b' time=""', reply.body))


def test_the_state_of_an_old_number_needs_its_instant(open_world: OpenWorld) -> None:
    """webcom gives the old number for an id that was used: their number alone says nothing."""
    world = open_world(webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(2, route="webcom"))
    world.dispatch("webcom")
    world.provider.settle_down()
    ids = [row.provider_message_id for row in world.rows("SELECT provider_message_id FROM messages")]

    world.rows("UPDATE packages SET poll_at = now() RETURNING id")
    with closing(Undated()) as transport:
        poll(replace(world.runtime, transport=transport), "webcom")
    take(
        world.runtime.ledger,
        world.runtime.routes,
        {"webcom": [DeliveryReceipt(id_, DELIVERED, "deliver") for id_ in ids]},
    )
    assert world.statuses() == {SENT: 2}

    world.rows("UPDATE packages SET poll_at = now() RETURNING id")
    world.poll("webcom")
    assert world.statuses() == {DELIVERED: 2}


def test_an_id_that_is_used_is_told_of_a_job_s_messages_too(open_world: OpenWorld) -> None:
    world = open_world(beta={})
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")
    world.provider.script({"do": "message_code", "code": 208, "when": {"command": "status"}})

    until_in_doubt(world, "beta", 3)

    held(world, 3, "beta")
    assert "code 208" in world.route("beta").reason


def test_a_job_that_repeats_ours_is_told_from_a_collision(open_world: OpenWorld) -> None:
    world = open_world(beta={})
    world.enqueue(messages(3, route="beta"))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch("beta")
    world.provider.script()
    settled_by_a_person(world, "beta", Resolution.REQUEUE)
    world.dispatch("beta")
    world.provider.script({"do": "message_code", "code": 208, "when": {"command": "status"}})

    until_in_doubt(world, "beta", 3)

    assert world.route("beta").state == "active"
    assert world.rows("SELECT 1 FROM events WHERE type = 'collide'") == []


# -- clocks that are off


def delivered_at(world: World, route: str, early: str) -> None:
    """Sent and delivered; the end lies so long before the message, by their clock."""
    world.enqueue(messages(3, route=route))
    world.dispatch(route)
    world.provider.settle_down()
    sent_after_all(world, early)
    world.rows("UPDATE packages SET poll_at = now() RETURNING id")
    world.poll(route)


@pytest.mark.parametrize("route", ["alpha", "plain"])
def test_a_clock_that_nobody_can_ask_may_be_some_seconds_behind(open_world: OpenWorld, route: str) -> None:
    world = open_world(**{route: {}})

    delivered_at(world, route, "6 seconds")

    assert world.statuses() == {DELIVERED: 3}


@pytest.mark.parametrize("route", ["alpha", "plain", "webcom"])
def test_an_end_that_is_early_by_rounding_is_an_end(open_world: OpenWorld, route: str) -> None:
    world = open_world(**{route: {}})

    delivered_at(world, route, "0 seconds")

    assert world.statuses() == {DELIVERED: 3}


def test_a_clock_known_to_be_behind_is_reckoned_with(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    world.rows("UPDATE routes SET clock_skew = interval '-4 minutes' RETURNING name")

    delivered_at(world, "webcom", "3 minutes")

    assert world.statuses() == {DELIVERED: 3}


def test_a_clock_that_is_off_is_visible_and_nothing_is_lost_by_it(open_world: OpenWorld) -> None:
    """Nobody knew of it: it looks like a collision, and says that it may be the clock. Once that is told,
    they are what they were."""
    world = open_world()
    delivered_at(world, "alpha", "3 minutes")
    assert world.statuses() == {IN_DOUBT: 3}
    reason = world.route().reason
    assert "by up to 0:0" in reason
    assert reason.index("their clock") < reason.index("another ledger")
    assert "worker resolve --collided --route alpha --as sent" in reason
    assert "requeue" not in reason, "they would go out twice"

    world = changed(world, "alpha", clock_tolerance=timedelta(minutes=10))
    settled_by_a_person(world, "alpha", Resolution.SENT)
    world.rows("UPDATE packages SET poll_at = now() RETURNING id")
    world.poll()

    assert world.statuses() == {DELIVERED: 3}
    with world.runtime.ledger.snapshot() as connection:
        assert [row for finding in audit(connection) for row in finding.breaches] == []


def test_finals_stay_whatever_is_told_later(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"webhook_secret": "a-secret-of-some-length"})
    world.enqueue(messages(1, route="webcom"))
    world.dispatch("webcom")
    [row] = world.rows("SELECT provider_message_id FROM messages")
    now = datetime.now(UTC)
    words: Sequence[Any] = [now, now - timedelta(days=1)]

    for at in words:
        take(
            world.runtime.ledger,
            world.runtime.routes,
            {"webcom": [DeliveryReceipt(row.provider_message_id, DELIVERED, "deliver", at)]},
        )

    assert {*world.statuses()} <= FINAL
    assert world.route("webcom").state == "active"
