"""Never twice, never lost: arbitrary lives of a ledger on a real PostgreSQL, against a plain model.

Many dispatchers, polls and rescues live at once. Each holds what it was given and writes when it likes: in
time, late, twice, never, or in the same moment as another. After every step the ledger is what the model
says; the books balance; what was final stays; nobody is handed what another may be sending; and every message
has a clock that somebody comes by for. At the end of a life all messages come to their end by that alone.

The suite lives a few lives, the same ones every time. For many, and other ones each time:

    HYPOTHESIS_PROFILE=long pytest -n 0 tests/ledger/test_model.py

A life that failed there is lived again first at the next run; --hypothesis-seed=N repeats a whole run.
"""

import os
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.schema import metadata
from bulk_dispatch.ledger.transitions import Clock
from tests.ledger.acts import Act, Brake, Door, Enter, Lapse, Leasing, Looking, Offer, Taking, Writing
from tests.ledger.book import Book
from tests.ledger.cast import EVERYTHING, ROUTES, Cast
from tests.ledger.model import TICK, DeliveryReceipt, Look, Model, ModelRoute, Who
from tests.ledger.race import Outcome, race
from tests.ledger.watch import Watch

pytestmark = pytest.mark.slow

SEEDS = range(5)
FEW = settings(max_examples=11, stateful_step_count=40, derandomize=True)
MANY = settings(max_examples=1000, stateful_step_count=60)
LONG_RUN = os.environ.get("HYPOTHESIS_PROFILE") == "long"
LIVES = settings(
    MANY if LONG_RUN else FEW,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

SOON = Look(poll=1, rescue=1)
LONG = 9  # ticks: longer than anybody waits for anything here
ROUNDS = 3  # in which everything must come to its end: doubt, another try, and its report

_HAPPENINGS = ["act"] * 7 + ["race"] * 5 + ["time"] * 4 + ["second thoughts"] * 3 + ["rescue"]
_MOSTLY = st.sampled_from([True, True, False])

_CLOCKS = {
    "messages": ("due_at", "valid_until"),
    "packages": ("opened_at", "in_doubt_since", "poll_at", "rescue_at"),
    "routes": ("paused_until",),
    "flows": ("claimed_at", "mark_due_at", "rewound_at"),
}
_REWIND = "UPDATE flows SET rewound_at = NULL RETURNING id"
_PASSES = [
    text(f"UPDATE {table} SET {', '.join(f'{clock} = {clock} - :gone' for clock in clocks)}")
    for table, clocks in _CLOCKS.items()
]


@pytest.mark.parametrize("number", SEEDS)
def test_whatever_happens_nobody_gets_a_message_twice_and_none_is_lost(book: Book, number: int) -> None:
    class LifeOfThisBook(Life):
        def __init__(self) -> None:
            super().__init__(book)

    lives = LifeOfThisBook if LONG_RUN else seed(number)(LifeOfThisBook)
    run_state_machine_as_test(lives, settings=LIVES)


class Life(RuleBasedStateMachine):
    """One ledger, and all who write in it."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self.book = book
        book.rows(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        book.do(register_routes, ROUTES)
        self.model = Model({route: ModelRoute() for route in ROUTES})
        self.cast = Cast()
        self.watch = Watch(book)
        self.watch.look()
        self.broken = False

    @initialize(data=st.data())
    def it_is_a_busy_day(self, data: st.DataObject) -> None:
        """Something waits, and some dispatchers are at work."""
        for numbers in (range(9), range(9, 18)):
            self.do(Enter(tuple(Offer(number, ROUTES[0]) for number in numbers)))
            self.do(data.draw(self.cast.claims()))

    @rule(data=st.data(), what=st.sampled_from(_HAPPENINGS))
    def something_happens(self, data: st.DataObject, what: str) -> None:
        """One rule for all: of several, each life would be given some, and few lives make sense so."""
        if what == "act":
            self.do(data.draw(self.cast.acts()))
        elif what == "race":
            self.two_act_at_once(data)
        elif what == "time":
            self.passes(data.draw(st.integers(1, 4)))
            self.somebody_looks(data)
        elif what == "second thoughts":
            self.a_dispatcher_has_second_thoughts(data)
        else:
            self.a_rescue_brings_back_all(data.draw(st.sampled_from(ROUTES)), data.draw(st.integers(1, 3)))

    def two_act_at_once(self, data: st.DataObject) -> None:
        """With something to get, or something due, as chance has it."""
        if data.draw(st.booleans()):
            self.do(data.draw(self.cast.offers()))
        self.passes(data.draw(st.sampled_from([0, 0, 1, 3])))
        busy = {route: self.model.busy(route) for route in ROUTES}
        self.race(*data.draw(self.cast.pairs(busy)), data.draw(st.integers(0, 5)), data.draw(_MOSTLY))

    def somebody_looks(self, data: st.DataObject) -> None:
        """And writes at once, or some time, or never."""
        look = data.draw(self.cast.looks())
        looking = self.do(look)
        if looking.leased and data.draw(st.booleans()):
            self.do(data.draw(self.cast.writes(look.clock, looking)))

    def a_dispatcher_has_second_thoughts(self, data: st.DataObject) -> None:
        """It has told a part of what it knows, and then does something else with what it was given."""
        if self.do(data.draw(self.cast.claims()))[0].package:
            holding = self.cast.holdings[-1]
            self.do(data.draw(self.cast.part_of_a_report(holding, holding.ids[1:])))
            self.do(data.draw(self.cast.second_thoughts(holding)))

    def a_rescue_brings_back_all(self, route: str, lease: int) -> None:
        """What chance seldom does in this order; and a claim. Now every dispatcher of the route is stale."""
        self.passes(LONG)
        self.do(Lapse(route, 1))
        self.passes(1)
        self.doubts_end(route, Status.QUEUED)
        for lane in Lane:
            self.do(Taking(route, lane, items=EVERYTHING, parallel=9, lease=lease))

    # -- always

    @invariant()
    def the_books_balance(self) -> None:
        self.carefully(lambda: self.watch.books_balance(self.model))

    @invariant()
    def histories_have_no_gap(self) -> None:
        self.carefully(self.watch.histories_chain)

    @invariant()
    def what_has_ended_has_ended(self) -> None:
        self.carefully(self.watch.finals_stay)
        self.carefully(self.watch.what_is_over_is_empty)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        self.carefully(self.watch.somebody_comes_by)

    def teardown(self) -> None:
        """Time passing, and whoever comes by for a clock, bring everything to its end."""
        if self.broken:
            return
        for campaign in sorted(self.model.paused):
            self.do(Brake(campaign, on=False))
        for _ in range(ROUNDS):
            for route in sorted({self.model.messages[name].route for name in self.model.unfinished()}):
                self.everybody_comes_by(route)
            self.passes(LONG)
        assert self.model.unfinished() == []
        with self.book.ledger.snapshot() as connection:
            assert audit(connection) == ()

    # -- how

    def do(self, act: Act) -> Any:
        """One act, judged, and the ledger compared."""
        outcome = self.carefully(lambda: self.book.do(act.perform))
        self.carefully(lambda: act.judge(self.model, outcome, True))
        self.compare()
        self.cast.learns(act, outcome)
        return outcome

    def race(self, first: Act, second: Act, statement: int, commits: bool) -> None:
        """Two acts at once: as if there had been one after the other, in either order."""
        outcome = self.carefully(
            lambda: race(self.book, first.perform, second.perform, statement=statement, commits=commits)
        )
        note(f"{outcome}")
        self.watch.look()
        self.carefully(lambda: self.judge_race(first, second, outcome, commits))
        if commits:
            self.cast.learns(first, outcome.first)
        self.cast.learns(second, outcome.second)

    def judge_race(self, first: Act, second: Act, outcome: Outcome, commits: bool) -> None:
        """Some order explains it, and who looks for work waited only for another at the same door."""
        one, other = (first, outcome.first), (second, outcome.second)
        orders = [[one, other], [other, one]] if commits else [[other]]
        objections = []
        for order in orders:
            model = deepcopy(self.model)
            try:
                for act, brought in order:
                    act.judge(model, brought, False)
                self.watch.agrees(model)
            except AssertionError as objection:
                objections.append(objection)
            else:
                self.model = model
                break
        else:
            raise AssertionError("no order explains it") from ExceptionGroup("", objections)
        assert not outcome.waited or second.waits or isinstance(first, Taking | Door | Brake)
        self.book.rows(_REWIND)  # what the other held at the time is found ten seconds later

    def passes(self, ticks: int) -> None:
        """Let time go by."""
        if ticks:
            with self.book.ledger.begin() as connection:
                for statement in _PASSES:
                    connection.execute(statement, {"gone": ticks * TICK})
            self.model.now += ticks

    def compare(self) -> None:
        """See what there is now, and hold it against the model."""
        self.watch.look()
        self.carefully(lambda: self.watch.agrees(self.model))

    def carefully(self, step: Callable[[], Any]) -> Any:
        """After a failure nothing more is to be learnt from this life."""
        self.broken = True
        outcome = step()
        self.broken = False
        return outcome

    # -- what beat would start

    def everybody_comes_by(self, route: str) -> None:
        """Rescue, poll, and dispatch until the queue is empty; all goes well."""
        self.do(Door(route, "open"))
        self.do(Lapse(route, 1))
        self.doubts_end(route, Status.FAILED)
        self.polls_end(route)
        for lane in Lane:
            while package := self.do(Taking(route, lane, items=EVERYTHING, parallel=9, lease=1))[0].package:
                words = tuple(DeliveryReceipt(item.id, package.id, Status.SENT) for item in package.items)
                self.do(Writing(Who.HOLDER, {package.id: SOON}, words))

    def doubts_end(self, route: str, to_status: Status) -> None:
        """Everything in doubt that is due is decided."""
        looking: Looking = self.do(Leasing(Clock.RESCUE, route, EVERYTHING, 1))
        words = tuple(DeliveryReceipt(m.id, m.package_id, to_status) for m in looking.messages)
        looks = {package.id: SOON for package in looking.leased}
        self.do(Writing(Who.OTHER, looks, words, keeps=(Clock.POLL,)))

    def polls_end(self, route: str) -> None:
        """Everything sent that is due has arrived; every job has ended."""
        looking: Looking = self.do(Leasing(Clock.POLL, route, EVERYTHING, 1))
        sending = [m for m in looking.messages if m.status is Status.SENDING]
        self.do(
            Writing(
                Who.OTHER,
                {package.id: SOON for package in looking.leased},
                tuple(DeliveryReceipt(m.id, m.package_id, Status.SENT) for m in sending),
                tuple(DeliveryReceipt(m.id, m.package_id, Status.DELIVERED) for m in looking.messages),
                keeps=(Clock.RESCUE,),
            )
        )
