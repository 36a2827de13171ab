"""What only some providers tell of our account: money, prices, a stop list, what they hold.

A feature each, beside those of the interface. No message changes by any of them.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Feature, Reply, Request


@dataclass(frozen=True, slots=True)
class Balance:
    """Money left. `currency` is theirs, ISO 4217 where they follow it; empty if they do not say."""

    amount: Decimal
    currency: str = ""


class Balances(Feature):
    """The provider tells how much money is left."""

    @abstractmethod
    def balance(self) -> Request:
        """The request that asks."""

    @abstractmethod
    def read_balance(self, reply: Reply) -> Balance | Failure:
        """What is left; may be negative."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one segment to a number costs; 0 means that they do not send there."""

    amount: Decimal
    currency: str = ""


class Prices(Feature):
    """The provider tells what a segment to a number costs."""

    price_items: int  # numbers a request

    @abstractmethod
    def prices(self, recipients: Sequence[str]) -> Request:
        """The request that asks what a segment to each of these numbers costs."""

    @abstractmethod
    def read_prices(self, recipients: Sequence[str], reply: Reply) -> Mapping[str, Price] | Failure:
        """The prices they name, by recipient as we asked."""


class StopLists(Feature):
    """The provider keeps a list of people who want nothing, and shows it."""

    @abstractmethod
    def stop_list(self) -> Request:
        """The request that asks for it."""

    @abstractmethod
    def read_stop_list(self, reply: Reply) -> Sequence[str] | Failure:
        """The recipients on it, written as ours are."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message that they hold until its time."""

    provider_message_id: str
    recipient: str = field(repr=False)
    send_at: datetime | None


class Scheduling(Feature):
    """The provider lists what it holds until its time, page by page."""

    @abstractmethod
    def scheduled(self, page: int) -> Request:
        """The request for a page; the first is 1."""

    @abstractmethod
    def read_scheduled(self, reply: Reply) -> tuple[Sequence[Scheduled], int] | Failure:
        """The messages of a page, and how many pages there are."""
