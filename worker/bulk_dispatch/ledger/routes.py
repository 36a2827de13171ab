"""The routes: one row each says whether it may send, for the whole fleet and by the database's clock.

It is a circuit breaker (open means that it sends, paused that it tries again by itself, stopped that it waits
for a person) and the bound of how many packages are on the wire.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.ledger.questions import ask_again

ROUTE_IS_ACTIVE = "(state = 'active' OR (state = 'paused' AND paused_until <= now()))"
"""Of a row of routes: it is active, or its pause is over. Says nothing of what is on the wire."""

# The halves of a package that is searched leave one after another: they take no more places than it did.
_OPEN_PACKAGES = f"""
    SELECT urgent + least(bulk, :bulk) < :both AND (:lane = '{Lane.URGENT}' OR bulk < :bulk) AS room,
           urgent + bulk AS busy
    FROM (SELECT count(*) FILTER (WHERE lane = '{Lane.URGENT}') AS urgent,
                 count(*) FILTER (WHERE lane = '{Lane.BULK}') AS bulk
          FROM packages WHERE route = :route AND rescue_at IS NOT NULL AND state = '{PackageState.OPEN}') AS o
"""  # noqa: S608 - our own constants

HAS_ROOM = f"(SELECT room FROM ({_OPEN_PACKAGES}) AS p)"  # noqa: S608 - our own constants
"""One more package of a lane may be on the wire, as far as others are committed (see `places`)."""

MAY_SEND = f"({HAS_ROOM} AND EXISTS (SELECT FROM routes WHERE name = :route AND {ROUTE_IS_ACTIVE}))"
"""The route is active and has room. A first look, without a lock: a claim that opens a package locks the
route, and looks again."""

LOCKED_ROUTE = f"FROM routes WHERE name = :route AND {ROUTE_IS_ACTIVE} FOR NO KEY UPDATE"
"""Locks the route until the transaction ends, if it is active; no row if it is not, or not registered. So
pause and concurrency are one decision for the whole fleet."""


def places(lane: Lane, parallel: int) -> dict[str, object]:
    """For whom HAS_ROOM asks, how many packages of both lanes may be on the wire, and how many of bulk: of
    several, one is kept for urgent messages."""
    return {"lane": lane, "both": parallel, "bulk": max(1, parallel - 1)}


def refusal(connection: Connection, route: str, lane: Lane, parallel: int) -> str:
    """Why a lane of the route may not send now; empty if it may. Locks nothing."""
    row = connection.execute(
        text(f"""
            SELECT r.state, r.reason, {ROUTE_IS_ACTIVE} AS active, p.room, p.busy
            FROM routes r, ({_OPEN_PACKAGES}) AS p WHERE r.name = :route
        """),  # noqa: S608 - our own constants
        {"route": route, **places(lane, parallel)},
    ).one_or_none()
    if row is None:
        return "the route is not registered"
    if not row.active:
        return f"the route is {row.state}: {row.reason}"
    return "" if row.room else f"{row.busy} packages are on the wire"


def register_routes(connection: Connection, names: Iterable[str]) -> None:
    """Give every configured route its row, open unless it has one."""
    connection.execute(
        text("""
            INSERT INTO routes (name) SELECT unnest(CAST(:names AS text[])) ORDER BY 1 ON CONFLICT DO NOTHING
        """),
        {"names": list(names)},
    )


class Streak(NamedTuple):
    """The failures of a route since a package last went through."""

    failures: int
    unresolvable: int  # of them, those that left doubt which nobody can settle


def note_failure(connection: Connection, route: str, *, unresolvable: bool) -> Streak:
    """Count a failure, and say of which streak it is; of none where the route is stopped, or not there.

    Many requests are on the wire at once, and those that fail during a pause had left before it: they are one
    failure, unresolvable if one of them is. Other failures in between do not end a streak of unresolvable
    ones.
    """
    # The array holds which of the failures were, so that each counts once.
    this = "consecutive_failures + CASE WHEN state = 'paused' AND paused_until > now() THEN 0 ELSE 1 END"
    row = connection.execute(
        text(f"""
            UPDATE routes SET
                consecutive_failures = {this},
                unresolvable_failures = CASE WHEN :unresolvable AND {this} <> ALL (unresolvable_failures)
                                             THEN unresolvable_failures || ({this})
                                             ELSE unresolvable_failures END
            WHERE name = :route AND state <> 'stopped'
            RETURNING consecutive_failures, cardinality(unresolvable_failures)
        """),  # noqa: S608 - our own constants
        {"route": route, "unresolvable": unresolvable},
    ).one_or_none()
    return Streak(*row) if row else Streak(0, 0)


def pause_route(connection: Connection, route: str, wait: timedelta, reason: str) -> None:
    """Send nothing for a while, after a failure that was noted. A longer pause stays as long, and a stopped
    route stopped."""
    connection.execute(
        text("""
            UPDATE routes SET state = 'paused', paused_until = greatest(paused_until, now() + :wait),
                              reason = :reason, changed_at = now()
            WHERE name = :route AND state <> 'stopped'
        """),
        {"route": route, "wait": wait, "reason": reason},
    )


def stop_route(connection: Connection, route: str, reason: str) -> bool:
    """Send nothing until somebody opens the route again. False if there is no such route."""
    stopped = connection.execute(
        text("""
            UPDATE routes SET state = 'stopped', paused_until = NULL, reason = :reason, changed_at = now()
            WHERE name = :route
        """),
        {"route": route, "reason": reason},
    )
    return bool(stopped.rowcount)


def open_route(connection: Connection, route: str) -> bool:
    """Let the route send again, and be asked what it refused. False if there is no such route."""
    ask_again(connection, route)
    opened = connection.execute(
        text("""
            UPDATE routes SET state = 'active', paused_until = NULL, reason = NULL,
                consecutive_failures = 0, unresolvable_failures = '{}',
                              unknown_refusals = 0, unknown_refusal = NULL, changed_at = now()
            WHERE name = :route
        """),
        {"route": route},
    )
    return bool(opened.rowcount)


def route_works(connection: Connection, route: str) -> None:
    """A package went through: forget failures in a row. Touches the row only if there were any.

    A pause is waited for all the same: what went through had left before it. But they do answer: what failed
    until now is no streak of unresolvable ones, nor of refusals.
    """
    connection.execute(
        text(f"""
            UPDATE routes
            SET unresolvable_failures = '{{}}', unknown_refusals = 0, unknown_refusal = NULL,
                changed_at = now(),
                consecutive_failures = CASE WHEN {ROUTE_IS_ACTIVE} THEN 0 ELSE consecutive_failures END,
                state = CASE WHEN {ROUTE_IS_ACTIVE} THEN 'active' ELSE state END,
                paused_until = CASE WHEN {ROUTE_IS_ACTIVE} THEN NULL ELSE paused_until END,
                reason = CASE WHEN {ROUTE_IS_ACTIVE} THEN NULL ELSE reason END
            WHERE name = :route AND state <> 'stopped'
              AND (consecutive_failures > 0 AND {ROUTE_IS_ACTIVE} OR unresolvable_failures <> '{{}}'
                  OR unknown_refusals > 0)
        """),  # noqa: S608 - our own constants
        {"route": route},
    )


def note_refusals(connection: Connection, route: str, words: str, count: int) -> int:
    """Count messages refused in the same words, one after another; other words begin anew. They do answer, so
    a streak of unresolvable failures ends. Returns how many there are by now."""
    streak: int | None = connection.execute(
        text("""
            UPDATE routes SET unresolvable_failures = '{}', unknown_refusal = :words,
                              unknown_refusals = CASE WHEN unknown_refusal = :words
                                  THEN unknown_refusals ELSE 0 END + :count
            WHERE name = :route RETURNING unknown_refusals
        """),
        {"route": route, "words": words, "count": count},
    ).scalar_one_or_none()
    return streak or 0
