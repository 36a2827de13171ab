"""Leases: which process looks at a package. A lease moves its clock; if the process dies, it runs out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, TextClause, text

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.transitions import Looks, Transition, settle


def renew(connection: Connection, package_id: int, lease: timedelta) -> bool:
    """Begin the lease of an open package anew, before its request leaves. False if it has run out meanwhile
    and rescue has taken the package up: then it is not ours to send any more."""
    renewed = connection.execute(
        text(f"""
            UPDATE packages SET rescue_at = now() + :lease WHERE id = :id AND state = '{PackageState.OPEN}'
        """),  # noqa: S608 - our own constants
        {"id": package_id, "lease": lease},
    )
    return bool(renewed.rowcount)


@dataclass(frozen=True, slots=True)
class Leased:
    """A package that is ours to look at for a while. `tries`: looks so far, this one included; for one in
    doubt, the questions about it that were answered so far."""

    id: int
    state: PackageState
    message_count: int  # it left with
    job: str
    account: str  # by which it left; empty before anybody noted it
    tries: int
    age: timedelta
    doubted_for: timedelta


PACKAGES = 500
"""Packages leased at once, at most."""


def _lease_statement(clock: str, tries: str, condition: str, count: str = "") -> TextClause:
    """Lease due packages, oldest first, up to so many messages. Leasing is moving their clock."""
    return text(f"""
        WITH due AS (
            SELECT id, message_count, {clock} FROM packages
            WHERE route = :route AND {clock} <= now() AND {condition}
            ORDER BY {clock} LIMIT {PACKAGES} FOR UPDATE SKIP LOCKED
        ), ranked AS (
            SELECT id, sum(message_count) OVER (ORDER BY {clock}, id) - message_count AS before FROM due
        )
        UPDATE packages p SET {clock} = now() + :lease {count}
        FROM ranked c WHERE p.id = c.id AND c.before < :messages
        RETURNING p.id, p.state, p.message_count, coalesce(p.job, '') AS job, coalesce(p.account,
            '') AS account,
                  p.{tries} AS tries, now() - p.opened_at AS age,
                  coalesce(now() - p.in_doubt_since, interval '0') AS doubted_for
    """)  # noqa: S608 - our own constants


# None: any. A package that left before accounts were noted is taken for one of these accounts.
_KNOWN_TO = "{accounts} = '{{}}' OR coalesce(account = ANY({accounts}), true)"

# What is open is its dispatcher's alone: a question about what it is just sending would be denied.
_LEASE_POLLS = _lease_statement(
    "poll_at", "poll_count", f"state <> '{PackageState.OPEN}'", ", poll_count = p.poll_count + 1"
)
_LEASE_DOUBTS = _lease_statement(
    "rescue_at",
    "inquiry_count",
    f"state = '{PackageState.IN_DOUBT}' AND ({_KNOWN_TO.format(accounts='CAST(:accounts AS text[])')})",
)


def lease_polls(connection: Connection, route: str, *, messages: int, lease: timedelta) -> list[Leased]:
    """Packages of the route that are due for a look, with about `messages` messages in all."""
    return _leased(connection, _LEASE_POLLS, route, messages, lease)


def next_poll(connection: Connection, route: str) -> timedelta | None:
    """How long until the next package of the route is due for a look; None if there is none to come."""
    soonest: timedelta | None = connection.execute(
        text("SELECT min(poll_at) - now() FROM packages WHERE route = :route AND poll_at > now()"),
        {"route": route},
    ).scalar_one()
    return soonest


def lease_doubts(
    connection: Connection, route: str, *, messages: int, lease: timedelta, accounts: Sequence[str] = ()
) -> list[Leased]:
    """Packages in doubt that are due to be asked about, or decided, with about `messages` messages in all.

    The caller names the ids of the account asked: another one denies what it never had, and a denial is worth
    a second sending.
    """
    return _leased(connection, _LEASE_DOUBTS, route, messages, lease, accounts=list(accounts))


def _leased(
    connection: Connection,
    statement: TextClause,
    route: str,
    messages: int,
    lease: timedelta,
    **more: list[str],
) -> list[Leased]:
    rows = connection.execute(statement, {"route": route, "messages": messages, "lease": lease, **more})
    return [
        Leased(
            id=row.id,
            state=PackageState(row.state),
            message_count=row.message_count,
            job=row.job,
            account=row.account,
            tries=row.tries,
            age=row.age,
            doubted_for=row.doubted_for,
        )
        for row in rows
    ]


def answered(connection: Connection, package_ids: Iterable[int]) -> None:
    """Count a question about packages, now that it was answered. Not when it is put: a process that dies over
    it has learnt nothing, and the next denial must not pass for the second."""
    connection.execute(
        text("UPDATE packages SET inquiry_count = inquiry_count + 1 WHERE id = ANY(CAST(:ids AS bigint[]))"),
        {"ids": list(package_ids)},
    )


def doubt_lapsed(connection: Connection, route: str, first_look: timedelta) -> list[int]:
    """Put open packages whose lease ran out, and their messages, in doubt. Returns the packages."""
    lapsed = list(
        connection.execute(
            text(f"""
                SELECT id FROM packages
                WHERE route = :route AND rescue_at <= now() AND state = '{PackageState.OPEN}'
                ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
            """),  # noqa: S608 - our own constants
            {"route": route},
        ).scalars()
    )
    if lapsed:
        held = connection.execute(
            text(f"""
                SELECT id, package_id FROM messages
                WHERE package_id = ANY(CAST(:ids AS bigint[])) AND status = '{Status.SENDING}'
            """),  # noqa: S608 - our own constants
            {"ids": lapsed},
        )
        moves = [Transition(row.id, row.package_id, Status.IN_DOUBT) for row in held]
        look = Looks(poll=first_look, rescue=first_look)
        settle(connection, moves, dict.fromkeys(lapsed, look), reason="its dispatcher went away")
    return lapsed


def name_account(connection: Connection, route: str, before: str, name: str) -> None:
    """Have packages of a route that somebody still comes by for go by the name of their account. They left
    while it was told by its credentials, which may be renewed from now on."""
    connection.execute(
        text("""
            UPDATE packages SET account = :name
            WHERE route = :route AND account = :before AND (poll_at IS NOT NULL OR rescue_at IS NOT NULL)
        """),
        {"route": route, "before": before, "name": name},
    )
