"""Account: what a provider tells of our account there: its money, its clock, its prices and lists.

Nothing here changes a message or closes a route: sending finds out by itself whether it may go on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar

from bulk_dispatch.domain.question import Question
from bulk_dispatch.ledger.provider_account import TRUSTED, note_balance, note_clock
from bulk_dispatch.ledger.queries import now
from bulk_dispatch.ledger.questions import refused_questions
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.providers.account import Balance, Balances, Price, Prices, Scheduled, Scheduling, StopLists
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Clocks, Reply, Request
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.provider_calls import chunks, exchanged, understood
from bulk_dispatch.stages.questions import heard

log = logging.getLogger(__name__)

NUMBERS = 5000  # of a suppression list, in one transaction

_Told = TypeVar("_Told")


# -- the watch ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watched:
    """What one look found; None for what could not be asked, or was not answered."""

    balance: Decimal | None = None
    clock_skew: timedelta | None = None
    more: bool = False  # never: one look is all there is to do


def can_be_watched(route: Route) -> bool:
    """Whether the provider tells anything that is worth a look now and then."""
    return isinstance(route.dialect, Balances | Clocks)


def watch(runtime: Runtime, name: str) -> Watched:
    """Look at the money and the clock of a route's provider, and warn of what is wrong. What it refuses to
    tell it is asked ever more rarely."""
    route = runtime.routes[name]
    with runtime.ledger.begin() as connection:
        refused = refused_questions(connection, name)
    paused = {question for question, one in refused.items() if one.paused}
    told = None if Question.BALANCE in paused else ask_balance(runtime, route)
    ahead = None if Question.CLOCK in paused else ask_clock(runtime, route)
    if isinstance(told, BalanceReading) and is_low(route, told.balance.amount):
        log.warning(
            "balance_low route=%s balance=%s least=%d",
            name,
            told.balance.amount,
            route.config.balance_warn_below,
        )
    if isinstance(ahead, timedelta) and is_off(ahead):
        log.warning("clock_skew route=%s ahead=%.0fs", name, ahead.total_seconds())
    for what, answer in (("balance", told), ("clock", ahead)):
        if isinstance(answer, Failure):
            log.warning("%s_failed route=%s failure=%r", what, name, str(answer))
    return Watched(
        told.balance.amount if isinstance(told, BalanceReading) else None,
        ahead if isinstance(ahead, timedelta) else None,
    )


def is_low(route: Route, amount: Decimal) -> bool:
    """Whether so little money is left that somebody should be told."""
    return 0 < route.config.balance_warn_below > amount


def is_off(ahead: timedelta) -> bool:
    """Whether a clock is too far from ours for a schedule."""
    return abs(ahead) > TRUSTED


# -- questions: each answers None where the provider cannot be asked ---------------------------------


def _put(
    runtime: Runtime,
    route: Route,
    question: Question,
    request: Request,
    read: Callable[[Reply], _Told | Failure],
) -> _Told | Failure:
    """Put a question, and keep whether it is refused."""
    answer = exchanged(runtime, route, request, read)
    heard(runtime, route, question, answer if isinstance(answer, Failure) else None)
    return answer


@dataclass(frozen=True, slots=True)
class BalanceReading:
    """A balance, and when it was told."""

    balance: Balance
    at: datetime


def ask_balance(runtime: Runtime, route: Route) -> BalanceReading | Failure | None:
    """How much money is left; the ledger keeps it."""
    dialect = route.dialect
    if not isinstance(dialect, Balances):
        return None
    balance = _put(runtime, route, Question.BALANCE, dialect.balance(), dialect.read_balance)
    if isinstance(balance, Failure):
        return balance
    with runtime.ledger.begin() as connection:
        at = note_balance(connection, route.config.name, balance.amount, balance.currency)
    return BalanceReading(balance, at)


def ask_clock(runtime: Runtime, route: Route) -> timedelta | Failure | None:
    """How far their clock is ahead of the ledger's; the ledger keeps it."""
    dialect = route.dialect
    if not isinstance(dialect, Clocks):
        return None
    reply = runtime.exchange(route.config, dialect.clock())
    if isinstance(reply, Failure):
        return reply
    with runtime.ledger.begin() as connection:
        ahead = understood(route, partial(dialect.read_clock, reply, now(connection)))
        if isinstance(ahead, timedelta):
            note_clock(connection, route.config.name, ahead)
    heard(runtime, route, Question.CLOCK, ahead if isinstance(ahead, Failure) else None)
    return ahead


def ask_prices(
    runtime: Runtime, route: Route, recipients: Sequence[str]
) -> Mapping[str, Price] | Failure | None:
    """What a segment to each of these numbers costs; those they say nothing of are left out."""
    dialect = route.dialect
    if not isinstance(dialect, Prices):
        return None
    found: dict[str, Price] = {}
    for part in chunks(recipients, dialect.price_items):
        read = _about(part, dialect.read_prices)
        prices = _put(runtime, route, Question.PRICES, dialect.prices(part), read)
        if isinstance(prices, Failure):
            return prices
        found.update(prices)
    return found


def _about(
    part: Sequence[str], read: Callable[[Sequence[str], Reply], _Told | Failure]
) -> Callable[[Reply], _Told | Failure]:
    return lambda reply: read(part, reply)


def ask_scheduled(runtime: Runtime, route: Route) -> Iterator[Sequence[Scheduled] | Failure] | None:
    """What they hold until its time, page by page; a failure ends it."""
    return _pages(runtime, route, route.dialect) if isinstance(route.dialect, Scheduling) else None


def _pages(runtime: Runtime, route: Route, dialect: Scheduling) -> Iterator[Sequence[Scheduled] | Failure]:
    page, pages = 1, 1
    while page <= pages:
        told = _put(runtime, route, Question.SCHEDULED, dialect.scheduled(page), dialect.read_scheduled)
        if isinstance(told, Failure):
            yield told
            return
        waiting, pages = told
        if not waiting:  # whatever number of pages they speak of
            return
        yield waiting
        page += 1


@dataclass(frozen=True, slots=True)
class Imported:
    """What a suppression list held, and how many of these numbers were not on ours."""

    listed: int
    added: int


def import_stop_list(runtime: Runtime, route: Route, reason: str) -> Imported | Failure | None:
    """Put the numbers of a provider's stop list on ours. Repeating it is harmless, and goes on."""
    dialect = route.dialect
    if not isinstance(dialect, StopLists):
        return None
    numbers = _put(runtime, route, Question.STOP_LIST, dialect.stop_list(), dialect.read_stop_list)
    if isinstance(numbers, Failure):
        return numbers
    added = 0
    for part in chunks(numbers, NUMBERS):
        with runtime.ledger.begin() as connection:
            added += suppress(connection, part, reason)
    return Imported(len(numbers), added)
