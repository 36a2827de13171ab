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
from bulk_dispatch.providers.interface import Clocks, Failure, Reply, Request
from bulk_dispatch.routing import Line
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
    clock_ahead: timedelta | None = None
    more: bool = False  # never: one look is all there is to do


def can_be_watched(line: Line) -> bool:
    """Whether the provider tells anything that is worth a look now and then."""
    return isinstance(line.dialect, Balances | Clocks)


def watch(runtime: Runtime, route: str) -> Watched:
    """Look at the money and the clock of a route's provider, and warn of what is wrong. What it refuses to
    tell it is asked ever more rarely."""
    line = runtime.lines[route]
    with runtime.ledger.begin() as connection:
        refused = refused_questions(connection, route)
    paused = {question for question, one in refused.items() if one.paused}
    told = None if Question.BALANCE in paused else ask_balance(runtime, line)
    ahead = None if Question.CLOCK in paused else ask_clock(runtime, line)
    if isinstance(told, Told) and is_low(line, told.balance.amount):
        log.warning(
            "balance_low route=%s balance=%s least=%d", route, told.balance.amount, line.route.balance_least
        )
    if isinstance(ahead, timedelta) and is_off(ahead):
        log.warning("clock_skew route=%s ahead=%.0fs", route, ahead.total_seconds())
    for what, answer in (("balance", told), ("clock", ahead)):
        if isinstance(answer, Failure):
            log.warning("%s_failed route=%s failure=%r", what, route, str(answer))
    return Watched(
        told.balance.amount if isinstance(told, Told) else None,
        ahead if isinstance(ahead, timedelta) else None,
    )


def is_low(line: Line, amount: Decimal) -> bool:
    """Whether so little money is left that somebody should be told."""
    return 0 < line.route.balance_least > amount


def is_off(ahead: timedelta) -> bool:
    """Whether a clock is too far from ours for a schedule."""
    return abs(ahead) > TRUSTED


# -- questions: each answers None where the provider cannot be asked ---------------------------------


def _put(
    runtime: Runtime,
    line: Line,
    question: Question,
    request: Request,
    read: Callable[[Reply], _Told | Failure],
) -> _Told | Failure:
    """Put a question, and keep whether it is refused."""
    answer = exchanged(runtime, line, request, read)
    heard(runtime, line, question, answer if isinstance(answer, Failure) else None)
    return answer


@dataclass(frozen=True, slots=True)
class Told:
    """A balance, and when it was told."""

    balance: Balance
    at: datetime


def ask_balance(runtime: Runtime, line: Line) -> Told | Failure | None:
    """How much money is left; the ledger keeps it."""
    dialect = line.dialect
    if not isinstance(dialect, Balances):
        return None
    balance = _put(runtime, line, Question.BALANCE, dialect.balance(), dialect.read_balance)
    if isinstance(balance, Failure):
        return balance
    with runtime.ledger.begin() as connection:
        at = note_balance(connection, line.route.name, balance.amount, balance.currency)
    return Told(balance, at)


def ask_clock(runtime: Runtime, line: Line) -> timedelta | Failure | None:
    """How far their clock is ahead of the ledger's; the ledger keeps it."""
    dialect = line.dialect
    if not isinstance(dialect, Clocks):
        return None
    reply = runtime.exchange(line.route, dialect.clock())
    if isinstance(reply, Failure):
        return reply
    with runtime.ledger.begin() as connection:
        ahead = understood(line, partial(dialect.read_clock, reply, now(connection)))
        if isinstance(ahead, timedelta):
            note_clock(connection, line.route.name, ahead)
    heard(runtime, line, Question.CLOCK, ahead if isinstance(ahead, Failure) else None)
    return ahead


def ask_prices(
    runtime: Runtime, line: Line, recipients: Sequence[str]
) -> Mapping[str, Price] | Failure | None:
    """What a segment to each of these numbers costs; those they say nothing of are left out."""
    dialect = line.dialect
    if not isinstance(dialect, Prices):
        return None
    found: dict[str, Price] = {}
    for part in chunks(recipients, dialect.price_items):
        read = _about(part, dialect.read_prices)
        prices = _put(runtime, line, Question.PRICES, dialect.prices(part), read)
        if isinstance(prices, Failure):
            return prices
        found.update(prices)
    return found


def _about(
    part: Sequence[str], read: Callable[[Sequence[str], Reply], _Told | Failure]
) -> Callable[[Reply], _Told | Failure]:
    return lambda reply: read(part, reply)


def ask_scheduled(runtime: Runtime, line: Line) -> Iterator[Sequence[Scheduled] | Failure] | None:
    """What they hold until its time, page by page; a failure ends it."""
    return _pages(runtime, line, line.dialect) if isinstance(line.dialect, Scheduling) else None


def _pages(runtime: Runtime, line: Line, dialect: Scheduling) -> Iterator[Sequence[Scheduled] | Failure]:
    page, pages = 1, 1
    while page <= pages:
        told = _put(runtime, line, Question.SCHEDULED, dialect.scheduled(page), dialect.read_scheduled)
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


def import_stop_list(runtime: Runtime, line: Line, why: str) -> Imported | Failure | None:
    """Put the numbers of a provider's stop list on ours. Repeating it is harmless, and goes on."""
    dialect = line.dialect
    if not isinstance(dialect, StopLists):
        return None
    numbers = _put(runtime, line, Question.STOP_LIST, dialect.stop_list(), dialect.read_stop_list)
    if isinstance(numbers, Failure):
        return numbers
    added = 0
    for part in chunks(numbers, NUMBERS):
        with runtime.ledger.begin() as connection:
            added += suppress(connection, part, why)
    return Imported(len(numbers), added)
