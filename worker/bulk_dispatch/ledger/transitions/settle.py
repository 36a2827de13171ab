"""Settle and report: what became of messages in packages, and when the packages are looked at next."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, text

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.collisions import TAKEN_BEFORE
from bulk_dispatch.ledger.journal import sql_journal
from bulk_dispatch.ledger.schema import sql_list, sql_transitions
from bulk_dispatch.ledger.transitions.transition import Transition, TransitionCounts, apply, lock_packages


@dataclass(frozen=True, slots=True)
class Looks:
    """When a package is looked at next: `poll` for what was sent, `rescue` for what is in doubt."""

    poll: timedelta
    rescue: timedelta


class Clock(StrEnum):
    """A clock of packages, leased by moving it."""

    POLL = "poll"
    RESCUE = "rescue"


_ENDED = (PackageState.REFUSED, PackageState.UNSENT, PackageState.CLOSED)

# What a package is follows from its messages. `emptied` is what to call it when none is left to follow up;
# one that has ended keeps its end, whatever a late writer calls it. Whatever is open keeps a clock that
# somebody comes by: a message still sending has the lease while its package is open, and the poll after that.
# A clock that runs is moved by its own stage only, or frequent looks at some messages of a package would put
# off the questions about the others for ever. Looks at a job are no looks at its messages.
_RESTATE = text(f"""
    UPDATE packages p SET
        state = CASE WHEN s.sending > 0 AND p.state = '{PackageState.OPEN}' THEN p.state
                     WHEN s.doubtful > 0 THEN '{PackageState.IN_DOUBT}'
                     WHEN s.sending > 0 THEN p.state
                     WHEN s.sent > 0 THEN '{PackageState.SETTLED}'
                     ELSE :emptied END,
        poll_at = CASE WHEN s.sent > 0 OR (s.sending > 0 AND p.state <> '{PackageState.OPEN}')
                       THEN CASE WHEN p.poll_at IS NULL OR '{Clock.POLL}' <> ALL(k.clocks)
                                 THEN now() + n.poll ELSE p.poll_at END END,
        poll_count = CASE WHEN p.state = '{PackageState.JOB}' AND s.sending = 0 THEN 0 ELSE p.poll_count END,
        rescue_at = CASE WHEN s.sending > 0 AND p.state = '{PackageState.OPEN}' THEN p.rescue_at
                         WHEN s.doubtful > 0
                         THEN CASE WHEN p.in_doubt_since IS NULL OR '{Clock.RESCUE}' <> ALL(k.clocks)
                                   THEN now() + n.rescue ELSE p.rescue_at END END,
        in_doubt_since = CASE WHEN s.doubtful > 0 THEN coalesce(p.in_doubt_since, now()) END,
        reason = coalesce(:reason, p.reason)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:poll AS interval[]), CAST(:rescue AS interval[]))
             AS n (id, poll, rescue),
         (SELECT CAST(:keeps AS text[]) AS clocks) k,
         LATERAL (
             SELECT count(*) FILTER (WHERE status = '{Status.IN_DOUBT}') AS doubtful,
                    count(*) FILTER (WHERE status = '{Status.SENDING}') AS sending,
                    count(*) FILTER (WHERE status = '{Status.SENT}') AS sent
             FROM messages m WHERE m.package_id = n.id
         ) s
    WHERE p.id = n.id AND p.state NOT IN ({sql_list(_ENDED)})
""")  # noqa: S608 - our own constants

# The first message that is still sent says enough of a package. To count them all for each of its receipts,
# as `_RESTATE` does, halved the number of receipts a second.
_EMPTIED = text(f"""
    SELECT n.id FROM unnest(CAST(:ids AS bigint[])) AS n (id) LEFT JOIN LATERAL (
        SELECT true AS there FROM messages m
        WHERE m.package_id = n.id AND m.status = '{Status.SENT}' LIMIT 1
    ) sent ON true
    WHERE sent.there IS NULL
""")  # noqa: S608 - our own constants


# What will be sent anew has another name there: a receipt for the first copy is none for the second. What a
# late writer could not move may have been sent anew already, and then the name is of the second.
_UNNAME = text(f"""
    DELETE FROM provider_message_ids p USING messages m
    WHERE m.id = ANY(CAST(:ids AS bigint[])) AND m.status = '{Status.QUEUED}'
      AND p.route = m.route AND p.provider_message_id = m.provider_message_id
""")  # noqa: S608 - our own constants


def settle(
    connection: Connection,
    moves: Sequence[Transition],
    looks: Mapping[int, Looks],
    *,
    news: Sequence[Transition] = (),
    collided: Sequence[Transition] = (),
    keeps: Collection[Clock] = (),
    emptied: PackageState = PackageState.CLOSED,
    reason: str = "",
) -> TransitionCounts:
    """Record what became of messages in packages, and what is to be done with the packages next.

    `moves` are settled, then `news` reported (a message found delivered was first sent); those of `collided`,
    whose id they had before, are held in doubt. `looks` names every package concerned; `keeps` are the clocks
    that are not the writer's to move if they run. Late writers are welcome: rows that left their package stay
    as they are.
    """
    lock_packages(connection, looks)
    moved = Counter(apply(connection, EventType.SETTLE, moves, reason))
    moved.update(apply(connection, EventType.REPORT, news))
    moved.update(apply(connection, EventType.COLLIDE, collided, TAKEN_BEFORE))
    if moved[Status.QUEUED]:
        back = [move.message_id for move in moves if move.to_status is Status.QUEUED]
        connection.execute(_UNNAME, {"ids": back})
    restated = list(looks)
    # Reports alone, and no clock to move: all there is is an end, or a collision.
    if not moves and set(keeps) == set(Clock) and not moved[Status.IN_DOUBT]:
        restated = list(connection.execute(_EMPTIED, {"ids": restated}).scalars())
        if not restated:
            return moved
    connection.execute(
        _RESTATE,
        {
            "ids": restated,
            "poll": [looks[id_].poll for id_ in restated],
            "rescue": [looks[id_].rescue for id_ in restated],
            "keeps": [clock.value for clock in keeps],
            "emptied": emptied.value,
            "reason": reason or None,
        },
    )
    return moved


@dataclass(frozen=True, slots=True)
class Read:
    """Somebody has read a message, at an instant by the provider's clock."""

    message_id: int
    code: str = ""
    happened_at: datetime | None = None


_JOURNAL_READS = sql_journal(
    "moved",
    "happened_at",
    package_id="package_id",
    type=f"'{EventType.READ}'",
    from_status="status",
    to_status="status",
    code="code",
)
_READ = text(f"""
    WITH news AS (
        SELECT DISTINCT ON (message_id) * FROM unnest(
            CAST(:message_id AS bigint[]), CAST(:code AS text[]), CAST(:happened_at AS timestamptz[])
        ) AS n (message_id, code, happened_at)
    ), moved AS (
        UPDATE messages m SET read_at = coalesce(n.happened_at, now())
        FROM news n
        WHERE m.id = n.message_id AND m.read_at IS NULL
          AND (m.status, m.status) IN ({sql_transitions(EventType.READ)})
        RETURNING m.id, m.package_id, m.status, n.code, n.happened_at
    ), written AS (
        {_JOURNAL_READS}
    )
    SELECT count(*) FROM moved
""")  # noqa: S608 - our own constants


def read(connection: Connection, reads: Sequence[Read]) -> int:
    """Note that messages were read, the first time we hear of it. What is not delivered stays as it is; so
    report that first."""
    if not reads:
        return 0
    values = {
        "message_id": [one.message_id for one in reads],
        "code": [one.code or None for one in reads],
        "happened_at": [one.happened_at for one in reads],
    }
    noted: int = connection.execute(_READ, values).scalar_one()
    return noted


def take_job(connection: Connection, package_id: int, job: str, first_look: timedelta) -> bool:
    """Record that a package became an asynchronous job. False if its lease ran out meanwhile, or a part of it
    is in doubt already: then rescue asks for each message."""
    taken = connection.execute(
        text(f"""
            UPDATE packages SET state = '{PackageState.JOB}', job = :job, rescue_at = NULL,
                                poll_at = now() + :look
            WHERE id = :id AND state = '{PackageState.OPEN}' AND in_doubt_since IS NULL
        """),  # noqa: S608 - our own constants
        {"id": package_id, "job": job, "look": first_look},
    )
    return bool(taken.rowcount)
