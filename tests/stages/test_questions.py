"""Questions: a provider that refuses to be asked is asked rarely, and goes on being given messages."""

from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.questions import RefusedQuestion, refused_questions
from bulk_dispatch.ledger.routes import open_route
from bulk_dispatch.stages.account import Watched, ask_balance, watch
from bulk_dispatch.stages.cancel import CancelSelection, Fate, cancel_all
from bulk_dispatch.stages.poll import UNASKED
from tests.factories import message, messages
from tests.stages.world import ENDLESS, KEY, OpenWorld, World

DELIVERED, IN_DOUBT, SENDING, SENT = Status.DELIVERED, Status.IN_DOUBT, Status.SENDING, Status.SENT
FAILED, QUEUED, UNCONFIRMED = Status.FAILED, Status.QUEUED, Status.UNCONFIRMED
Rule = dict[str, Any]

STATES = {"alpha": "status", "plain": "receive", "webcom": "state"}
"""The command that asks for states, by route."""

PAGES: list[Rule] = [{"do": "http", "code": code} for code in (401, 403, 404, 405, 410, 501, 400)]
"""What a web server says of a page that is not for us."""

REFUSALS = [(route, fault) for route in STATES for fault in PAGES]
REFUSALS += [
    ("plain", {"do": "error", "code": "command"}),
    *(("alpha", {"do": "error", "code": code}) for code in (201, 202, 205, 209, 210)),
    ("plain", {"do": "message_code", "code": "Access denied for command receive"}),
    *(("alpha", {"do": "message_code", "code": code}) for code in (205, 209, 210)),
    ("webcom", {"do": "error", "code": "no data"}),
    ("webcom", {"do": "error", "code": "format"}),
    *((route, {"do": "error", "code": "login"}) for route in ("plain", "webcom")),
]


def refusing(world: World, command: str, fault: Rule) -> None:
    world.provider.script({**fault, "when": {"command": command}})


def sent(world: World, route: str, many: int = 4, **changes: Any) -> None:
    """So many messages with the provider, ended there, and due for a look."""
    world.enqueue(messages(many, route=route, **changes))
    while world.dispatch(route).more:
        pass
    assert world.statuses() == {SENT: many}
    world.passes(seconds=31)


def refused(world: World, route: str) -> dict[Question, RefusedQuestion]:
    with world.runtime.ledger.begin() as connection:
        return refused_questions(connection, route)


def named(value: object) -> str:
    return " ".join(str(part) for part in value.values()) if isinstance(value, dict) else str(value)


# -- states


@pytest.mark.parametrize(("route", "fault"), REFUSALS, ids=named)
def test_given_a_question_that_is_refused_when_polled_then_questions_pause_and_sending_goes_on(
    open_world: OpenWorld, route: str, fault: Rule
) -> None:
    world = open_world(**{route: {}})
    sent(world, route)
    refusing(world, STATES[route], fault)

    world.poll(route)

    one = refused(world, route)[Question.STATUS]
    assert one.paused
    assert str(fault["code"]) in one.reason or fault["do"] == "error"
    assert (world.route(route).state, world.route(route).consecutive_failures) == ("active", 0)
    world.enqueue([message(5, route=route)])
    world.dispatch(route)
    assert world.statuses() == {SENT: 5}


@pytest.mark.slow
def test_given_a_refusal_when_time_goes_by_then_it_is_asked_ever_more_rarely_and_once_an_hour_at_last(
    open_world: OpenWorld,
) -> None:
    world = open_world(plain={"poll_max": "1s"})
    sent(world, "plain", 1)
    refusing(world, "receive", {"do": "error", "code": "command"})

    waits = []
    for _ in range(13):
        world.poll("plain")
        wait = refused(world, "plain")[Question.STATUS].ask_in
        waits.append(round(wait.total_seconds() / 5))
        world.passes(seconds=wait.total_seconds() - 2)
        world.poll("plain")  # not yet
        world.passes(seconds=3)

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720, 720]
    assert world.provider.requests("receive") == 13
    assert refused(world, "plain")[Question.STATUS].lasts > timedelta(hours=3)


def test_given_a_refusal_when_it_is_over_then_states_are_told_again_and_nothing_of_it_is_left(
    world: World,
) -> None:
    sent(world, "alpha")
    refusing(world, "status", {"do": "http", "code": 404})
    world.poll()
    world.provider.script()
    world.provider.settle_down()

    world.passes(minutes=2)
    world.poll()

    assert world.statuses() == {DELIVERED: 4}
    assert refused(world, "alpha") == {}


def test_given_many_questions_refused_together_then_they_are_one_refusal(open_world: OpenWorld) -> None:
    world = open_world(plain={})
    sent(world, "plain", 20)
    refusing(world, "receive", {"do": "http", "code": 403})

    world.poll("plain")

    assert world.provider.requests("receive") <= 8, "in flight when the first was refused"
    [row] = world.rows("SELECT refusals FROM refused_questions")
    assert row.refusals == 1


def test_given_a_refusal_at_some_messages_alone_then_the_question_is_answered(world: World) -> None:
    sent(world, "alpha")
    world.provider.settle_down()
    refusing(world, "status", {"do": "message_code", "code": 209, "share": 0.5})

    world.poll()

    assert world.statuses() == {SENT: 2, DELIVERED: 2}
    assert refused(world, "alpha") == {}
    assert world.route().state == "active"


def test_given_an_unknown_error_at_some_messages_alone_then_it_is_about_these(open_world: OpenWorld) -> None:
    world = open_world(plain={})
    sent(world, "plain")
    world.provider.settle_down()
    refusing(world, "receive", {"do": "message_code", "code": "It is in the archive", "times": 3})

    assert world.poll("plain").strange == 3

    assert world.statuses() == {SENT: 3, DELIVERED: 1}
    assert refused(world, "plain") == {}


@pytest.mark.parametrize("route", STATES)
def test_given_a_refusal_that_lasts_when_the_horizon_passes_then_messages_are_unconfirmed(
    open_world: OpenWorld, route: str
) -> None:
    world = open_world(provider=ENDLESS, **{route: {"horizon": "2h"}})
    sent(world, route)
    refusing(world, STATES[route], {"do": "http", "code": 404})

    world.poll(route)
    world.passes(hours=1)
    world.poll(route)
    assert world.statuses() == {SENT: 4}
    world.passes(hours=1)
    world.poll(route)

    assert world.statuses() == {UNCONFIRMED: 4}
    assert world.history().events[-1].note == UNASKED
    assert world.route(route).state == "active"


@pytest.mark.parametrize("fault", [{"do": "http", "code": 500}, {"do": "drop_before"}, {"do": "throttle"}])
def test_given_a_question_that_fails_otherwise_then_it_is_not_refused(world: World, fault: Rule) -> None:
    sent(world, "alpha")
    refusing(world, "status", fault)

    world.poll()

    assert refused(world, "alpha") == {}
    assert world.route().state == "active"


def test_given_a_refusal_when_the_route_is_resumed_then_it_is_asked_at_once(world: World) -> None:
    sent(world, "alpha")
    refusing(world, "status", {"do": "http", "code": 404})
    world.poll()
    world.passes(seconds=3)
    world.provider.script()
    world.provider.settle_down()
    world.rows("UPDATE packages SET poll_at = now() RETURNING 1")
    world.poll()
    assert world.statuses() == {SENT: 4}

    with world.runtime.ledger.begin() as connection:
        open_route(connection, "alpha")
    world.rows("UPDATE packages SET poll_at = now() RETURNING 1")
    world.poll()

    assert world.statuses() == {DELIVERED: 4}


# -- the account as a whole


def test_given_nobody_lets_us_in_at_all_then_sending_finds_out_and_stops_the_route(world: World) -> None:
    sent(world, "alpha")
    world.provider.script({"do": "http", "code": 401})
    world.poll()
    assert world.route().state == "active", "what one page says is not the account"

    world.enqueue([message(5)])
    world.dispatch()

    assert world.statuses() == {SENT: 4, QUEUED: 1}
    assert world.route().state == "stopped"


# -- jobs


def test_given_jobs_that_are_not_told_then_their_messages_are_asked_for_one_by_one(world: World) -> None:
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    refusing(world, "job", {"do": "http", "code": 404})

    for _ in range(3):
        assert world.statuses() == {SENDING: 4}
        world.passes(seconds=30)
        world.poll("beta")

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.until_final("beta") == {DELIVERED: 4}
    assert world.route("beta").state == "active"
    assert world.provider.taken == 4


def test_given_neither_jobs_nor_states_are_told_then_the_messages_stay_in_doubt(world: World) -> None:
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.script(
        *({"do": "http", "code": 404, "when": {"command": one}} for one in ("job", "status"))
    )

    for _ in range(6):
        world.passes(minutes=2)
        world.poll("beta")
        world.rescue("beta")

    assert world.statuses() == {IN_DOUBT: 4}
    assert refused(world, "beta").keys() == {Question.JOB, Question.STATUS}
    world.mend()
    assert world.until_final("beta") == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_given_a_job_that_is_done_and_states_that_are_not_told_then_its_messages_are_in_doubt(
    world: World,
) -> None:
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    refusing(world, "status", {"do": "http", "code": 404})
    world.passes(seconds=3)
    world.poll("beta")
    assert world.statuses() == {SENDING: 4}, "it may have been for once"

    with world.runtime.ledger.begin() as connection:  # its next look comes within the pause
        assert refused_questions(connection, "beta")[Question.STATUS].paused
    world.rows("UPDATE packages SET poll_at = now() RETURNING 1")
    world.poll("beta")

    assert world.statuses() == {IN_DOUBT: 4}


# -- doubt


def doubtful(world: World, **changes: Any) -> None:
    world.enqueue(messages(4, **changes))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch()
    assert world.statuses() == {IN_DOUBT: 4}
    world.passes(seconds=6)
    refusing(world, "status", {"do": "http", "code": 404})


def test_given_doubt_that_nobody_may_ask_about_then_it_stays_until_somebody_may(world: World) -> None:
    doubtful(world)

    for _ in range(10):
        world.rescue()
        world.passes(minutes=1)

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.route().state != "stopped"
    assert world.packages()[0].inquiry_count == 0, "a refusal is no denial"
    assert world.provider.requests("status") <= 7
    world.mend()
    assert world.until_final("alpha") == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_given_such_doubt_then_a_message_s_own_policy_holds_once_it_has_lasted(world: World) -> None:
    doubtful(world, in_doubt=DoubtPolicy.FAIL)

    world.rescue()
    world.passes(seconds=2)
    world.rescue()
    assert world.statuses() == {IN_DOUBT: 4}, "it may be over soon"
    for _ in range(8):
        world.passes(seconds=20)
        world.rescue()

    assert world.statuses() == {FAILED: 4}
    assert "policy fail of the message" in (world.history().events[-1].note or "")


# -- what else is asked


@pytest.mark.parametrize("fault", [*PAGES, {"do": "error", "code": "command"}], ids=named)
def test_given_a_balance_that_is_not_told_then_it_is_looked_at_rarely(
    open_world: OpenWorld, fault: Rule
) -> None:
    world = open_world(plain={})
    refusing(world, "balance", fault)

    for _ in range(3):
        assert watch(world.runtime, "plain") == Watched()

    assert world.provider.requests("balance") == 1
    assert refused(world, "plain")[Question.BALANCE].paused
    world.provider.script()
    assert ask_balance(world.runtime, world.line("plain")), "who asks by hand is not kept from it"
    assert refused(world, "plain") == {}


def test_given_a_clock_that_is_not_told_then_the_money_is_told_all_the_same(open_world: OpenWorld) -> None:
    world = open_world(webcom={"token": KEY})
    refusing(world, "time", {"do": "http", "code": 404})

    for _ in range(3):
        assert watch(world.runtime, "webcom").balance is not None

    assert (world.provider.requests("time"), world.provider.requests("balance")) == (1, 3)
    assert refused(world, "webcom").keys() == {Question.CLOCK}


def test_given_a_refusal_to_cancel_at_every_message_then_it_is_asked_no_more(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, alpha={"status_items": 2})
    world.enqueue(messages(6))
    world.dispatch()
    refusing(world, "delete", {"do": "message_code", "code": 205})

    steps = list(cancel_all(world.runtime, CancelSelection(), "reason"))

    assert sum(step.get(Fate.UNANSWERED, 0) for step in steps) == 6
    assert world.provider.requests("delete") == 1
    assert "205" in refused(world, "alpha")[Question.CANCEL].reason
    assert world.route().state == "active"


def test_given_a_provider_that_does_not_cancel_for_us_then_it_cannot(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, alpha={"status_items": 2})
    world.enqueue(messages(6))
    world.dispatch()
    refusing(world, "delete", {"do": "http", "code": 404})

    steps = list(cancel_all(world.runtime, CancelSelection(), "reason"))

    assert sum(step.get(Fate.CANNOT, 0) for step in steps) == 6
    assert world.provider.requests("delete") == 1
    assert refused(world, "alpha").keys() == {Question.CANCEL}
    assert world.statuses() == {SENT: 6}
    assert world.route().state == "active"
