"""What it costs a claim to look at the suppression list again, by the length of the list.

A claim looks at the list in the statement that opens its package. Beside each claim, by turns, the route is
locked with such a look for the same messages, and without it: the difference is what the look-up takes.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.ledger.routes import LOCKED_ROUTE
from bulk_dispatch.ledger.transitions import ClaimRequest, claim, enqueue
from bulk_dispatch.ledger.transitions.claim import LISTED
from bulk_dispatch.runtime import Runtime
from tests.benchmarks.installation import PACKAGE, ROUTE, Installation
from tests.factories import message

USUAL = 100_000  # numbers on a list
LENGTHS = (0, USUAL, 10 * USUAL)
CLAIMS = 20  # for each length
TURNS = 5  # of the two statements beside each claim

_LOCK = text(f"SELECT 1 {LOCKED_ROUTE}")
_LOCK_AND_LOOK = text(f"SELECT ARRAY({LISTED}) {LOCKED_ROUTE}")

# Of the same prefix as the messages' numbers and a digit longer: among them in the index, and nobody's.
_LISTED = text("""
    INSERT INTO suppressions (recipient) SELECT '+38093' || lpad(n::text, 7, '0') || '5'
    FROM generate_series(1, CAST(:length AS int)) AS n ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True)
class LookUp:
    """The medians for a list of some length, in microseconds a message."""

    length: int
    claim: float  # all of it
    look_up: float  # its part

    @property
    def share(self) -> float:
        """Of a claim without it."""
        return self.look_up / (self.claim - self.look_up)


def measure(place: Installation) -> list[LookUp]:
    """Over one ledger, shortest list first."""
    place.migrate()
    runtime = Runtime.open(place.settings)
    try:
        return [_measured(runtime, length) for length in LENGTHS]
    finally:
        runtime.close()


def _measured(runtime: Runtime, length: int) -> LookUp:
    with runtime.ledger.begin() as connection:
        connection.execute(_LISTED, {"length": length})
    for number in range(CLAIMS):
        _enqueue(runtime, f"{length}-{number}")
    with runtime.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    claims, locks, looks = list[float](), list[float](), list[float]()
    for _ in range(CLAIMS):
        asked = {"route": ROUTE, "recipients": ",".join(one.recipient for one in _claimed(runtime, claims))}
        for _ in range(TURNS):
            _timed(runtime, locks, lambda connection: connection.execute(_LOCK, asked).one())  # noqa: B023
            _timed(runtime, looks, lambda connection: connection.execute(_LOCK_AND_LOOK, asked).one())  # noqa: B023
    per = 1e6 / PACKAGE
    look_up = statistics.median(looks) - statistics.median(locks)
    return LookUp(length, statistics.median(claims) * per, look_up * per)


def _enqueue(runtime: Runtime, name: str) -> None:
    """A package of messages, to numbers all over the range."""
    batch = [
        message(number, client_id=f"{name}-{number}", route=ROUTE, recipient=f"+38093{number * 9973:07d}")
        for number in range(PACKAGE)
    ]
    with runtime.ledger.begin() as connection:
        enqueue(connection, batch)


def _claimed(runtime: Runtime, took: list[float]) -> Sequence[OutboundMessage]:
    line = runtime.routes[ROUTE]
    limits, lease = line.dialect.limits, line.config.lease
    began = time.perf_counter()
    with runtime.ledger.begin() as connection:
        found = claim(connection, ClaimRequest(ROUTE, limits, parallel=10**6, lease=lease), Lane.BULK)
    took.append(time.perf_counter() - began)
    assert found.package is not None
    assert (len(found.package.items), found.suppressed) == (PACKAGE, 0)
    return found.package.items


def _timed(runtime: Runtime, took: list[float], work: Callable[[Connection], object]) -> None:
    """The statement alone: a claim begins and commits without it, too."""
    with runtime.ledger.begin() as connection:
        began = time.perf_counter()
        work(connection)
        took.append(time.perf_counter() - began)
