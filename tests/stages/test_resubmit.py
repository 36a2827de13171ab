"""Doubt where sending again under the same ids is the question: they take each id once, and tell which they
have."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.routes import pause_route, stop_route
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import Package
from bulk_dispatch.providers.interface import Reply
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.rescue import Rescued
from bulk_dispatch.stages.submissions import record_submission
from tests.factories import message, messages
from tests.stages.test_concurrency import Clock
from tests.stages.world import ENDLESS, KIND, OpenWorld, World
from tests.waiting import eventually

SENDING, SENT, DELIVERED, IN_DOUBT = Status.SENDING, Status.SENT, Status.DELIVERED, Status.IN_DOUBT
QUEUED, REJECTED = Status.QUEUED, Status.REJECTED
SENDS: dict[str, Any] = {"when": {"provider": "webcom-xml", "command": "send"}}
WAIT = timedelta(seconds=65)  # the default in_doubt_wait


def gateway(**options: Any) -> SandboxOptions:
    return replace(ENDLESS, webcom=WebcomOptions(**options))


def doubtful(world: World, many: int = 4, do: str = "drop_after", **changes: Any) -> None:
    """So many messages that were sent and not answered."""
    world.enqueue(messages(many, route="webcom", **changes))
    world.provider.script({"do": do, "times": 1, **SENDS})
    world.dispatch("webcom")
    assert world.statuses() == {IN_DOUBT: many}


def asks(world: World) -> list[int]:
    return [row.inquiry_count for row in world.rows("SELECT inquiry_count FROM packages ORDER BY id")]


def sendings(world: World) -> int:
    return world.provider.requests("send")


def theirs(world: World) -> dict[int, str]:
    """Their number of each message, by ours."""
    return {own: str(world.provider.see(f"messages/{own}")["number"]) for own in world.references()}


def known(world: World) -> dict[int, str]:
    """The same as our book has it."""
    found = world.rows("SELECT reference, provider_message_id FROM messages")
    return {row.reference: row.provider_message_id for row in found}


# -- a good while after, once


def test_nothing_is_repeated_before_its_time(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)

    for _ in range(12):
        world.passes(seconds=5)
        assert world.rescue("webcom").taken == 0

    assert sendings(world) == 1
    assert world.statuses() == {IN_DOUBT: 4}
    (package,) = world.packages()
    assert timedelta(seconds=3) < package.rescue_in <= timedelta(seconds=5)  # right when the wait is over


def test_then_the_same_ids_are_sent_again_and_the_old_numbers_adopted(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={})
    doubtful(world)
    references = world.references()
    world.passes(seconds=66)

    assert world.rescue("webcom") == Rescued(doubtful=4, taken=4)

    assert sendings(world) == 2
    assert world.statuses() == {SENT: 4}
    assert world.provider.times() == dict.fromkeys(references, 1)
    assert world.provider.see("counts")["repeats_refused"] == 4
    assert known(world) == theirs(world)
    assert world.walked() == ["queued", "sending", "in_doubt", "sent"]
    assert world.history().events[-1].note == "sent again under the same id"
    assert world.message().attempts == 0
    (package,) = world.packages()
    assert (package.state, package.rescue_at, package.in_doubt_since) == ("settled", None, None)


def test_what_they_did_not_have_is_sent_by_it_once(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world, do="drop_before")
    assert world.provider.taken == 0
    references = world.references()

    assert world.until_final("webcom") == {DELIVERED: 4}

    assert sendings(world) == 2
    assert world.provider.times() == dict.fromkeys(references, 1)


def test_what_is_adopted_is_polled_to_its_end(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)

    assert world.until_final("webcom") == {DELIVERED: 4}

    assert world.walked() == ["queued", "sending", "in_doubt", "sent", "delivered"]
    assert world.states() == {"closed": 1}


@pytest.mark.parametrize(("repeat", "numbered"), [("id", True), ("both", True), ("text", False)])
def test_however_they_say_that_they_have_it(open_world: OpenWorld, repeat: Any, numbered: bool) -> None:
    world = open_world(provider=gateway(repeat=repeat), webcom={})
    doubtful(world)
    world.passes(seconds=66)

    assert world.rescue("webcom").taken == 4

    assert world.statuses() == {SENT: 4}
    assert known(world) == (theirs(world) if numbered else dict.fromkeys(world.references()))
    assert world.provider.taken == 4


def test_what_has_no_number_of_theirs_cannot_be_asked_for_and_is_given_up_at_the_horizon(
    open_world: OpenWorld,
) -> None:
    world = open_world(provider=gateway(repeat="text"), webcom={})
    doubtful(world)
    world.passes(seconds=66)
    world.rescue("webcom")

    world.passes(minutes=1)
    world.poll("webcom")
    assert world.statuses() == {SENT: 4}

    world.passes(days=7)
    world.poll("webcom")
    assert world.statuses() == {Status.UNCONFIRMED: 4}
    assert world.provider.requests("state") == 0


def test_only_what_is_in_doubt_is_sent_again(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    world.enqueue(messages(6, route="webcom"))
    world.provider.script({"do": "missing", "share": 0.5, "times": 1, **SENDS})
    world.dispatch("webcom")
    assert world.statuses() == {SENT: 3, IN_DOUBT: 3}
    world.passes(seconds=66)

    assert world.rescue("webcom") == Rescued(doubtful=3, taken=3)

    assert world.provider.see("counts")["repeats_refused"] == 3
    assert world.until_final("webcom") == {DELIVERED: 6}


def test_a_repeat_not_answered_for_some_leaves_those_in_doubt(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.provider.script({"do": "missing", "share": 0.5, "times": 1, **SENDS})
    world.passes(seconds=66)

    world.rescue("webcom")

    assert world.statuses() == {SENT: 2, IN_DOUBT: 2}
    assert world.packages()[0].state == "in_doubt"
    assert world.until_final("webcom") == {DELIVERED: 4}
    assert sendings(world) == 3


def test_what_a_dead_dispatcher_had_sent_is_found_so(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    world.enqueue(messages(4, route="webcom"))
    submitted(world, claimed(world))
    world.passes(seconds=61)
    assert world.rescue("webcom") == Rescued(lapsed=1)
    world.passes(seconds=60)
    world.rescue("webcom")
    assert sendings(world) == 1  # the wait begins with the doubt, and not with the sending

    assert world.until_final("webcom") == {DELIVERED: 4}

    assert sendings(world) == 2
    assert world.provider.taken == 4


def claimed(world: World) -> Package:
    package = world.claim("webcom").package
    assert package is not None
    return package


def submitted(world: World, package: Package) -> Reply:
    line = world.line("webcom")
    reply = world.runtime.exchange(line.config, line.dialect.submit(package.items))
    assert isinstance(reply, Reply)
    return reply


def test_a_dispatcher_that_comes_back_after_the_repeat_changes_nothing(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={})
    world.enqueue(messages(4, route="webcom"))
    package = claimed(world)
    reply = submitted(world, package)
    world.passes(seconds=61)
    world.rescue("webcom")
    world.passes(seconds=66)
    world.rescue("webcom")
    before = known(world)

    line = world.line("webcom")
    record_submission(world.runtime, line, package, line.dialect.read_submit(package.items, reply))

    assert known(world) == before == theirs(world)
    assert world.walked() == ["queued", "sending", "in_doubt", "sent"]


def test_ids_are_those_of_the_account_where_it_has_an_offset(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"reference_offset": 5_000_000})
    doubtful(world)
    world.passes(seconds=66)

    assert world.rescue("webcom").taken == 4

    assert set(world.provider.times()) == {5_000_000 + reference for reference in world.references()}


# -- it is a sending


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_a_route_that_may_not_send_does_not_repeat(open_world: OpenWorld, state: str) -> None:
    world = open_world(webcom={})
    doubtful(world)
    with world.runtime.ledger.begin() as connection:
        if state == "stopped":
            stop_route(connection, "webcom", "by hand")
        else:
            pause_route(connection, "webcom", timedelta(hours=1), "by hand")
    for _ in range(5):
        world.passes(minutes=5)
        assert world.rescue("webcom") == Rescued()

    assert (sendings(world), world.statuses()) == (1, {IN_DOUBT: 4})

    world.mend()
    assert world.rescue("webcom").taken == 4


def test_a_package_whose_lease_runs_out_is_in_doubt_on_a_stopped_route_too(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    world.enqueue(messages(2, route="webcom"))
    claimed(world)
    with world.runtime.ledger.begin() as connection:
        stop_route(connection, "webcom", "by hand")
    world.passes(seconds=61)

    assert world.rescue("webcom") == Rescued(lapsed=1)


def test_nothing_is_repeated_where_the_lease_is_too_short_for_an_exchange(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.passes(seconds=66)
    late = replace(world, runtime=replace(world.runtime, clock=Clock(1, 15)))

    assert late.rescue("webcom") == Rescued(doubtful=4)

    assert (sendings(world), world.statuses()) == (1, {IN_DOUBT: 4})
    assert world.until_final("webcom") == {DELIVERED: 4}


def test_two_rescuers_repeat_it_once(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.passes(seconds=66)

    assert world.rescue("webcom").doubtful == 4
    assert world.rescue("webcom") == Rescued()

    assert sendings(world) == 2


# -- repeats that fail


@pytest.mark.parametrize(
    ("fault", "route", "heard"),
    [
        ({"do": "drop_before"}, "paused", 0),
        ({"do": "drop_after"}, "paused", 0),
        ({"do": "http", "code": 503}, "paused", 0),
        ({"do": "html"}, "paused", 0),
        ({"do": "error", "code": "login"}, "stopped", 1),
        ({"do": "error", "code": "format"}, "paused", 1),
    ],
    ids=lambda given: " ".join(map(str, given.values())) if isinstance(given, dict) else str(given),
)
def test_a_repeat_that_fails_leaves_all_in_doubt_until_a_later_one(
    open_world: OpenWorld, fault: dict[str, Any], route: str, heard: int
) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.passes(seconds=66)
    world.provider.script({**fault, **SENDS})

    assert world.rescue("webcom") == Rescued(doubtful=4)

    assert world.statuses() == {IN_DOUBT: 4}
    assert asks(world) == [heard]  # whether they turned it away, or nobody knows
    assert world.route("webcom").state == route
    (package,) = world.packages()
    assert WAIT - timedelta(seconds=2) < package.rescue_in <= WAIT
    world.mend()
    assert world.until_final("webcom") == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_after_a_repeat_that_failed_no_other_is_tried(open_world: OpenWorld) -> None:
    world = open_world(webcom={"package_items": 2})
    world.enqueue(messages(6, route="webcom"))
    world.provider.script({"do": "drop_after", "times": 3, **SENDS})
    for _ in range(3):
        world.dispatch("webcom")
        world.passes(seconds=11)
    assert world.statuses() == {IN_DOUBT: 6}
    world.passes(seconds=66)
    world.provider.script({"do": "drop_before", **SENDS})

    world.rescue("webcom")

    assert sendings(world) == 4
    world.mend()
    assert world.until_final("webcom") == {DELIVERED: 6}
    assert world.provider.taken == 6


def test_repeats_that_say_nothing_come_ever_more_rarely(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.provider.script({"do": "missing", "share": 1, **SENDS})
    world.passes(seconds=66)

    waits = []
    for _ in range(6):
        world.rescue("webcom")
        (package,) = world.packages()
        waits.append(round(package.rescue_in.total_seconds()))
        world.passes(seconds=waits[-1] + 0.5)

    assert waits == [65, 130, 260, 520, 900, 900]
    assert asks(world) == [6]


# -- what they may say of a repeat


def test_what_they_refuse_now_they_may_have_taken_before(open_world: OpenWorld) -> None:
    """Their word of today is no word of the first copy."""
    world = open_world(webcom={})
    doubtful(world, do="drop_before")
    world.provider.script({"do": "message_code", "code": 7, "times": 1, **SENDS})
    world.passes(seconds=66)

    world.rescue("webcom")

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.states() == {"in_doubt": 1}


def test_who_is_on_their_stop_list_is_on_ours(open_world: OpenWorld) -> None:
    world = open_world(provider=gateway(stop_list=frozenset({"380930000001"})), webcom={})
    doubtful(world, 1, do="drop_before")
    world.passes(seconds=66)

    world.rescue("webcom")

    assert world.statuses() == {IN_DOUBT: 1}
    assert [row.recipient for row in world.rows("SELECT recipient FROM suppressions")] == ["+380930000001"]


def test_who_is_on_the_stop_list_is_sent_nothing_for_the_sake_of_knowing(open_world: OpenWorld) -> None:
    """They do not have it, and would send it."""
    world = open_world(webcom={})
    doubtful(world, 2, do="drop_before")
    with world.runtime.ledger.begin() as connection:
        suppress(connection, [message(1).recipient])
    world.passes(seconds=66)

    assert world.rescue("webcom").taken == 1

    assert [row.status for row in world.rows("SELECT status FROM messages ORDER BY id")] == [
        "in_doubt",
        "sent",
    ]
    assert world.provider.taken == 1


def test_that_a_repeat_is_turned_away_says_nothing_of_the_first(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world, do="drop_before")
    world.provider.script({"do": "message_code", "code": 2, "times": 1, **SENDS})  # out of SMS
    world.passes(seconds=66)

    assert world.rescue("webcom") == Rescued(doubtful=4)

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.route("webcom").state == "paused"
    assert world.until_final("webcom") == {DELIVERED: 4}
    assert world.provider.taken == 4


@pytest.mark.slow
def test_the_same_document_soon_after_is_refused_and_nobody_gets_it_twice(open_world: OpenWorld) -> None:
    """Text 19: they take the same request once a minute."""
    world = open_world(provider=replace(KIND, webcom=WebcomOptions(identical_seconds=2)), webcom={})
    doubtful(world)
    references = world.references()
    world.passes(seconds=66)

    world.rescue("webcom")

    assert world.statuses() == {IN_DOUBT: 4}
    (pause,) = world.rows("SELECT paused_until - now() AS it FROM routes WHERE name = 'webcom'")
    assert pause.it > timedelta(seconds=59)

    def found() -> bool:
        world.passes(minutes=5)
        world.rescue("webcom")
        return world.statuses() == {SENT: 4}

    eventually(found, within=20, every=0.5)
    assert known(world) == theirs(world)
    assert world.provider.times() == dict.fromkeys(references, 1)


def test_what_is_too_late_is_not_sent_for_the_sake_of_knowing(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world, do="drop_before", valid_until="2999-01-01T00:00:00+00:00")
    world.rows("UPDATE messages SET valid_until = now() + interval '1 minute' RETURNING id")

    for _ in range(3):
        world.passes(minutes=20)
        world.rescue("webcom")

    assert (sendings(world), world.provider.taken) == (1, 0)
    assert world.statuses() == {IN_DOUBT: 4}


# -- policies have no say


@pytest.mark.parametrize("policy", ["hold", "resend", "fail"])
def test_a_policy_of_the_messages_own_does_not_count(open_world: OpenWorld, policy: str) -> None:
    world = open_world(provider=ENDLESS, webcom={})
    doubtful(world, in_doubt=policy)

    for _ in range(12):
        world.passes(seconds=5)
        world.rescue("webcom")
    assert world.statuses() == {IN_DOUBT: 4}
    world.passes(seconds=10)
    world.rescue("webcom")

    assert world.statuses() == {SENT: 4}
    assert world.message().attempts == 0
    assert world.provider.taken == 4


def test_where_the_route_holds_nothing_is_repeated(open_world: OpenWorld) -> None:
    world = open_world(webcom={"in_doubt": "hold"})
    doubtful(world)

    for _ in range(5):
        world.passes(hours=1)
        world.rescue("webcom")

    assert (sendings(world), world.statuses()) == (1, {IN_DOUBT: 4})


# -- what is sent again is what was sent


def test_a_message_held_until_its_time_carries_it_again(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"schedule_ahead": "7d"})
    world.enqueue([message(1, route="webcom", send_at="2031-01-01T12:00:00+00:00")])
    world.rows("UPDATE messages SET send_at = now() + '1 day', due_at = now() + '1 day' RETURNING id")
    world.rows("UPDATE routes SET clock_skew = '0s' RETURNING name")
    world.provider.script({"do": "drop_before", "times": 1, **SENDS})
    world.dispatch("webcom")
    assert world.statuses() == {IN_DOUBT: 1}
    world.passes(seconds=66)

    world.rescue("webcom")

    (reference,) = world.references()
    kept = world.provider.see(f"messages/{reference}")
    (row,) = world.rows("SELECT extract(epoch FROM send_at) AS at FROM messages")
    assert abs(kept["final_at"] - float(row.at)) < 7200 + 1
    assert kept["final_at"] > float(row.at)


def test_what_is_in_doubt_for_days_is_not_sent_again(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    doubtful(world)
    world.passes(days=2)

    for _ in range(4):
        world.rescue("webcom")
        world.passes(hours=1)

    assert world.statuses() == {IN_DOUBT: 4}
    assert sendings(world) == 1
