"""What only some providers tell of our account: money, prices, a stop list, what they hold.

A small protocol each, beside those of the contract. No message changes by any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from bulk_dispatch.providers.interface import Failure, Reply, Request


@dataclass(frozen=True, slots=True)
class Balance:
    """Money left. `currency` is theirs, ISO 4217 where they follow it; empty if they do not say."""

    amount: Decimal
    currency: str = ""


@runtime_checkable
class Balances(Protocol):
    """A dialect whose provider tells how much money is left."""

    def balance(self) -> Request:
        """The request that asks."""

    def read_balance(self, reply: Reply) -> Balance | Failure:
        """What is left; may be negative."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one segment to a number costs; 0 means that they do not send there."""

    amount: Decimal
    currency: str = ""


@runtime_checkable
class Prices(Protocol):
    """A dialect whose provider tells prices."""

    price_items: int  # numbers a request

    def prices(self, recipients: Sequence[str]) -> Request:
        """The request that asks what a segment to each of these numbers costs."""

    def read_prices(self, recipients: Sequence[str], reply: Reply) -> Mapping[str, Price] | Failure:
        """The prices they name, by recipient as we asked."""


@runtime_checkable
class StopLists(Protocol):
    """A dialect whose provider keeps a list of people who want nothing."""

    def stop_list(self) -> Request:
        """The request that asks for it."""

    def read_stop_list(self, reply: Reply) -> Sequence[str] | Failure:
        """The recipients on it, written as ours are."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message that they hold until its time."""

    provider_id: str
    recipient: str = field(repr=False)
    send_at: datetime | None


@runtime_checkable
class Scheduling(Protocol):
    """A dialect whose provider lists what it holds, page by page."""

    def scheduled(self, page: int) -> Request:
        """The request for a page; the first is 1."""

    def read_scheduled(self, reply: Reply) -> tuple[Sequence[Scheduled], int] | Failure:
        """The messages of a page, and how many pages there are."""
