"""Processes that die at a chosen step: the ledger, the intake and the transport, each counting its steps.

A step is every place where a stage meets the world: before and after a commit, a read, an exchange, an
acknowledgement. What was committed, read or sent before stays so; the rest never happens.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from bulk_dispatch.http_client import KEEPALIVE, Transport
from bulk_dispatch.intake import DeadLetter, Entry, Intake, Place
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Reply, Request
from bulk_dispatch.runtime import Runtime


class Died(BaseException):
    """The process is gone. No stage may catch it."""


@dataclass
class Fate:
    """So many steps are left. `last` names the step at which it died, or the last one it saw."""

    steps: int
    last: str = ""

    def step(self, name: str) -> None:
        """One step further, or death."""
        self.last = name
        if self.steps == 0:
            raise Died(name)
        self.steps -= 1


class MortalLedger(Ledger):
    """Dies before a commit, or right after it."""

    def __init__(self, ledger: Ledger, fate: Fate) -> None:
        super().__init__(ledger.engine)
        self._fate = fate

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with super().begin() as connection:
            yield connection
            self._fate.step("before a commit")
        self._fate.step("after a commit")


class MortalTransport(Transport):
    """Dies before the request leaves, or with the answer in hand."""

    def __init__(self, transport: Transport, fate: Fate) -> None:
        self._transport = transport
        self._fate = fate

    def exchange(
        self,
        request: Request,
        *,
        connect: timedelta,
        whole: timedelta,
        until: float = math.inf,
        keepalive: timedelta = KEEPALIVE,
    ) -> Reply | Failure:
        self._fate.step("before an exchange")
        reply = self._transport.exchange(
            request, connect=connect, whole=whole, until=until, keepalive=keepalive
        )
        self._fate.step("after an exchange")
        return reply


class MortalIntake(Intake):
    """Dies after reading, before acknowledging, or right after that."""

    def __init__(self, intake: Intake, fate: Fate) -> None:
        super().__init__(intake.client)
        self._fate = fate

    def read(self, place: Place, entries: int, idle: timedelta, octets: int = 2**31) -> list[Entry]:
        found = super().read(place, entries, idle, octets)
        self._fate.step("after reading")
        return found

    def done(
        self,
        place: Place,
        entries: Sequence[Entry],
        dead: Sequence[DeadLetter] = (),
        unrouted: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        self._fate.step("before acknowledging")
        super().done(place, entries, dead, unrouted)
        self._fate.step("after acknowledging")


def mortal(runtime: Runtime, fate: Fate) -> Runtime:
    """The same runtime in a process that dies of this fate."""
    return replace(
        runtime,
        ledger=MortalLedger(runtime.ledger, fate),
        transport=MortalTransport(runtime.transport, fate),
        intake=MortalIntake(runtime.intake, fate),
    )
