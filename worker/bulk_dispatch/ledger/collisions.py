"""Collisions: a message of ours under whose id the provider knows another one.

Another ledger has used the account before: staging beside production, a ledger made anew, a copy. What they
tell of that id is then said of a stranger's message. Two things give it away: they had the id before we ever
sent anything under it that may have reached them; or what they tell happened before the message first left.
The message is held: in doubt for its collision, nobody asks about it or sends it again, and a person decides.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, text

from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.journal import OF_MESSAGE

COLLIDED = "m.collided IS TRUE"
"""Of a message m in doubt: it is so for a collision."""

# Nearly all news is later than the package that its message lies in: only what is not needs a look at when
# the message was first claimed. A clock that is known to be behind tells instants as much too early.
EARLY = """
    LEFT JOIN packages p ON p.id = n.package_id
    LEFT JOIN LATERAL (
        SELECT min(f.opened_at) - n.happened_at AS early
        FROM messages m JOIN packages f ON f.id = ANY(m.earlier_packages || m.package_id)
        WHERE n.happened_at < p.opened_at - n.behind AND m.id = n.message_id
    ) c ON c.early > n.behind AND c.early > n.behind - least(
        (SELECT r.clock_skew FROM routes r WHERE r.name = p.route), interval '0')
"""
"""Joined to news n: c.early is how long it happened before its message first left, if it did: so it is of
another."""

CLOCK_MOST = timedelta(minutes=10)  # clocks that nobody looks after are off by less

TAKEN_BEFORE = "they had a message under our id before we sent any"
TOLD_TOO_EARLY = "what they tell of it happened before it was first sent"


def first_sent(connection: Connection, message_ids: Sequence[int]) -> set[int]:
    """Those of these messages that have just been sent for the first time, as far as anybody can have got
    them: whatever was tried before was surely not taken."""
    found = connection.execute(
        text(f"""
            SELECT id FROM messages m WHERE id = ANY(CAST(:ids AS bigint[])) AND NOT EXISTS (
                SELECT FROM journal e WHERE e.to_status = '{Status.IN_DOUBT}'
                AND e.type <> '{EventType.COLLIDE}' AND {OF_MESSAGE}
            )
        """),  # noqa: S608 - our own constants
        {"ids": list(message_ids)},
    )
    return set(found.scalars())


def in_collision(connection: Connection, message_ids: Sequence[int]) -> set[int]:
    """Those of these messages that are in doubt for a collision."""
    found = connection.execute(
        text(f"""
            SELECT m.id FROM messages m
            WHERE m.id = ANY(CAST(:ids AS bigint[])) AND m.status = '{Status.IN_DOUBT}' AND {COLLIDED}
        """),  # noqa: S608 - our own constants
        {"ids": list(message_ids)},
    )
    return set(found.scalars())


def way_out(route: str) -> str:
    """What an operator does about ids that are taken."""
    return (
        f"give {route} a reference_offset that no ledger has used there, reload, "
        f"then `worker routes resume {route}` and `worker resolve --collided --route {route} --as requeue "
        "--reason ...`; but if this ledger was restored from a backup, they may be ours: look them up first"
    )


def told_too_early(route: str, messages: int, early: timedelta) -> str:
    """Why a route is stopped whose provider told what cannot be. By a few minutes it is hardly another
    ledger, and what is sent again for a clock that is off arrives twice."""
    seconds = timedelta(seconds=int(early.total_seconds()))
    what = f"collision: {messages} messages ended there before they left us, by up to {seconds}"
    others = "another ledger has used our ids at this account"
    clock = (
        f"their clock, or our `zone` for it, is off by that: set `zone` or clock_tolerance right, reload, "
        f"`worker routes resume {route}` and "
        f"`worker resolve --collided --route {route} --as sent --reason ...`"
    )
    if early < CLOCK_MOST:
        return (
            f"{what}. Most likely {clock}. Only if the clocks are right, {others}: look the messages up, and "
            f"give {route} a reference_offset that no ledger has used there"
        )
    return f"{what}. Either {others}: {way_out(route)}. Or {clock}"
