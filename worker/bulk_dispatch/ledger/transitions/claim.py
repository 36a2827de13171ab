"""Claim: from the queue into a package that leaves in one request; and halves of one that cannot be read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits, OutboundMessage, PackageState, fitting
from bulk_dispatch.domain.status import EventType, Status, sources
from bulk_dispatch.ledger.flows import SERVED, TURNS
from bulk_dispatch.ledger.journal import sql_journal
from bulk_dispatch.ledger.outbound import COLUMNS, item
from bulk_dispatch.ledger.provider_account import clock_skew, trusted_ahead
from bulk_dispatch.ledger.routes import HAS_ROOM, LOCKED_ROUTE, MAY_SEND, places, refusal
from bulk_dispatch.ledger.schema import sql_list
from bulk_dispatch.ledger.transitions.transition import Transition, apply, lock_packages
from bulk_dispatch.timezones import Span


@dataclass(frozen=True, slots=True)
class Package:
    """Messages claimed to leave in one request."""

    id: int
    lane: Lane
    items: Sequence[OutboundMessage]


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What claims on a route go by, whatever their lane."""

    route: str
    limits: Limits  # of a package
    parallel: int  # packages on the wire at once, of both lanes
    lease: timedelta  # how long the package is ours to send
    ahead: timedelta = timedelta(0)  # so long before its time a message leaves, for the provider to hold
    clocked: bool = False  # the provider reads times by a clock of its own, which must be right for that
    apart: Callable[[Kind], str] = lambda _: ""  # the family of a kind; one family leaves together
    account: str = ""  # by which the package leaves


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: a package, or none and the reason; `more` if the queue holds more than this."""

    package: Package | None
    expired: int = 0
    suppressed: int = 0
    more: bool = False
    reason: str = ""


# What is scheduled may leave `ahead` of its time and no sooner: then the provider holds it. What waits for
# another try may not leave before that, whatever its time. MAY_SEND names no column of m: it is judged once,
# before a row is read or locked. The flows are gone through in their order, and no further than is needed.
_PICK = f"""
    {TURNS}
    SELECT m.* FROM turns t CROSS JOIN LATERAL (
        SELECT {COLUMNS}, m.lane, m.flow_id,
               coalesce(m.valid_until <= greatest(now(), m.send_at), false) AS late
        FROM messages m
        WHERE m.route = :route AND m.flow_id = t.id
          AND m.due_at <= now() + CAST(:ahead AS interval)
          AND (m.due_at, m.id) >= (coalesce(t.mark_due_at, '-infinity'), coalesce(t.mark_id, 0))
          AND (m.due_at <= now() OR m.due_at = m.send_at)
          AND (m.send_at IS NULL OR m.send_at <= now() + CAST(:ahead AS interval)) {{narrower}}
        ORDER BY m.due_at, m.id
        LIMIT :items FOR UPDATE SKIP LOCKED
    ) m
    WHERE {MAY_SEND} LIMIT :items
"""  # noqa: S608 - our own constants
_TOLD = "AND (m.send_at IS NULL OR m.send_at <= now() OR m.send_at < :untold_from OR m.send_at >= :untold_to)"
_PICKS = {spared: text(_PICK.format(narrower=_TOLD if spared else "")) for spared in (False, True)}
"""By whether times that cannot be told are spared."""

# Else several would pick hundreds of messages each, and all but one find the route full.
_BULK_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('bulk claim ' || :route, 0))")

_LOCK = text(f"SELECT 1 {LOCKED_ROUTE}")

# The numbers are hidden from the planner in a SELECT: it would weigh each of them, which takes longer than
# the look-up. What it plans without is right for a list of any length: one walk down the index for each, in
# their order. Joined to the messages it would be one in no order, or a hash of the whole list. They travel as
# one text, in half the time of an array: no number holds a comma.
LISTED = """
    SELECT recipient FROM suppressions
    WHERE recipient = ANY (CAST((SELECT string_to_array(:recipients, ',')) AS text[]))
"""
"""Which of :recipients are on the suppression list."""

_JOURNAL_CLAIMS = sql_journal(
    "moved",
    package_id="package_id",
    type=f"'{EventType.CLAIM}'",
    from_status="from_status",
    to_status=f"'{Status.SENDING}'",
)

# A statement of its own, after the route is locked: it must count what was committed while we waited, and see
# which flow was paused, and who was put on the suppression list. If anybody was, it opens nothing and says
# who: as a rule nobody was, and a statement for the list alone would cost as much again as the look-up.
_CLAIM = text(f"""
    WITH listed AS ({LISTED}), opened AS (
        INSERT INTO packages (route, account, lane, state, message_count, rescue_at)
        SELECT :route, :account, :package_lane, '{PackageState.OPEN}', :items, now() + :lease
        WHERE NOT EXISTS (SELECT FROM listed) AND {HAS_ROOM} AND NOT EXISTS (
            SELECT FROM flows WHERE id = ANY(CAST(:flows AS bigint[])) AND paused_at IS NOT NULL
        ) RETURNING id
    ), moved AS (
        UPDATE messages m SET status = '{Status.SENDING}', package_id = o.id, due_at = NULL FROM opened o
        WHERE m.id = ANY(CAST(:ids AS bigint[]))
          AND status IN ({sql_list(s for s in sources(EventType.CLAIM, Status.SENDING) if s)})
        RETURNING m.id, m.package_id, m.lane, m.producer, coalesce(m.campaign, '') AS campaign,
                  old.status AS from_status, old.due_at AS due_at
    ), written AS (
        {_JOURNAL_CLAIMS}
    ), served AS (
        {SERVED}
    )
    SELECT (SELECT id FROM opened) AS id, (SELECT count(*) FROM moved) AS moved,
           ARRAY(SELECT recipient FROM listed) AS listed
""")  # noqa: S608 - our own constants


def claim(connection: Connection, request: ClaimRequest, lane: Lane, untold: Span | None = None) -> Claim:
    """Take the next messages of a route into a package, if the route may send one more: of the flow that was
    served least, and where that has too few, of the next.

    The bulk lane leaves one of the parallel packages to the urgent lane; if there is only one, it takes
    urgent messages first. Those whose validity has passed expire here. Those that the provider holds until
    their time leave ahead of it, unless its clock is off, or their time is `untold`: it falls into an hour
    that cannot be told to the provider.

    Whoever has been put on the suppression list since the message was enqueued, or scheduled, or queued
    again, is suppressed here. What is committed to the list before the route is locked counts, however long
    that took. Who is added later finds the message on the wire, from where it cannot be called back: only its
    provider can be asked to cancel it.

    The route is locked last, from the decision to the commit, so that no urgent message waits while another
    claim picks. If it is full or shut by then, nothing is taken. Bulk claims of a route go one by one.
    """
    picked = _pick(connection, request, lane, untold)
    if not picked.items:
        reason = refusal(connection, request.route, lane, request.parallel) or "nothing is due"
        return Claim(None, picked.expired, more=picked.more, reason=reason)
    package, suppressed = _open_package(connection, request, lane, picked)
    if package:
        return Claim(package, picked.expired, suppressed, more=picked.more)
    if suppressed == len(picked.items):
        reason = "all that was due is on the suppression list"
        return Claim(None, picked.expired, suppressed, more=True, reason=reason)
    reason = refusal(connection, request.route, lane, request.parallel)
    return Claim(None, picked.expired, suppressed, reason=reason or "the route was full or shut a moment ago")


@dataclass(frozen=True, slots=True)
class _Picked:
    """Messages, locked, that may leave together, and the lane of each by its id; how many more expired; and
    whether the queue may hold others."""

    items: Sequence[OutboundMessage]
    lanes: Mapping[int, str]
    flows: Collection[int]  # of those and others that were locked
    expired: int
    more: bool


def _pick(connection: Connection, request: ClaimRequest, lane: Lane, untold: Span | None) -> _Picked:
    """Lock the next messages in their order, and end those that are too late."""
    limits = request.limits
    skew = clock_skew(connection, request.route) if request.clocked else timedelta(0)
    values = {
        "route": request.route,
        "lanes": list(Lane) if lane is Lane.BULK and request.parallel == 1 else [lane],
        "items": limits.items,
        "ahead": trusted_ahead(request.ahead, skew),
        **places(lane, request.parallel),
        **({"untold_from": untold[0], "untold_to": untold[1]} if untold else {}),
    }
    if lane is Lane.BULK:
        connection.execute(_BULK_TURN, values)
    rows = connection.execute(_PICKS[untold is not None], values).all()
    good = [row for row in rows if not row.late]
    expired = _expire(connection, [row for row in rows if row.late])
    if not good:
        return _Picked([], {}, (), expired, more=bool(rows))
    items = _together(good, limits, skew or timedelta(0), request.apart)
    more = len(rows) == limits.items or len(items) < len(good)
    flows = {row.flow_id for row in good}
    return _Picked(items, {row.id: row.lane for row in good}, flows, expired, more)


def _expire(connection: Connection, late: Sequence[Row[Any]]) -> int:
    """End those whose validity has passed. Returns how many ended."""
    moves = [Transition(row.id, None, Status.EXPIRED) for row in late]
    moved = apply(connection, EventType.CLAIM, moves, note="validity passed while queued")
    return moved.get(Status.EXPIRED, 0)


def _together(
    rows: Sequence[Row[Any]], limits: Limits, skew: timedelta, apart: Callable[[Kind], str]
) -> Sequence[OutboundMessage]:
    """Those of these rows that may leave with the first, as many as fit. Of another flow only those before
    one that may not: else what is of another kind there would be passed over while others are first."""
    items = [item(row, limits, skew) for row in rows]
    kind, family, first = items[0].kind, apart(items[0].kind), rows[0].flow_id
    ended: set[int] = set()
    together = []
    for row, one in zip(rows, items, strict=True):
        if one.kind is not kind and apart(one.kind) != family:
            ended.add(row.flow_id)
        elif row.flow_id == first or row.flow_id not in ended:
            together.append(one)
    return fitting(together, limits)


def _open_package(
    connection: Connection, request: ClaimRequest, lane: Lane, picked: _Picked
) -> tuple[Package | None, int]:
    """The package, and how many were suppressed in its stead. None if the route was shut or its last room
    taken while we picked, or nobody is left."""
    values = {
        "route": request.route,
        "account": request.account or None,
        "flows": list(picked.flows),
        "lease": request.lease,
        **places(lane, request.parallel),
    }
    if connection.execute(_LOCK, values).one_or_none() is None:
        return None, 0
    items, suppressed = picked.items, 0
    while items:  # round again only if somebody was put on the list a moment ago
        package, listed = _opened(connection, {**values, "package_lane": picked.lanes[items[0].id]}, items)
        if not listed:
            return package, suppressed
        suppressed += _suppress(connection, [item for item in items if item.recipient in listed])
        items = [item for item in items if item.recipient not in listed]
    return None, suppressed


def _opened(
    connection: Connection, values: dict[str, Any], items: Sequence[OutboundMessage]
) -> tuple[Package | None, Collection[str]]:
    """The package of all of these; or none, and who of them is on the suppression list."""
    ids, recipients = [item.id for item in items], ",".join([item.recipient for item in items])
    values = {**values, "items": len(items), "ids": ids, "recipients": recipients}
    row = connection.execute(_CLAIM, values).one()
    if row.id is None:
        return None, frozenset(row.listed)
    if row.moved != len(ids):  # we hold their locks: only a write that bypassed this file can do that
        raise RuntimeError(f"claimed {row.moved} of {len(ids)} messages that were locked")
    return Package(row.id, Lane(values["package_lane"]), items), frozenset()


def _suppress(connection: Connection, items: Sequence[OutboundMessage]) -> int:
    """End those whose number is on the suppression list by now. Returns how many ended."""
    moves = [Transition(item.id, None, Status.SUPPRESSED) for item in items]
    moved = apply(connection, EventType.CLAIM, moves, note="put on the suppression list while queued")
    return moved.get(Status.SUPPRESSED, 0)


_OPEN_HALF = text(f"""
    INSERT INTO packages (route, account, lane, state, message_count, rescue_at)
    SELECT route, account, lane, '{PackageState.OPEN}', :items, now() + :lease FROM packages WHERE id = :whole
    RETURNING id
""")  # noqa: S608 - our own constants


def split(connection: Connection, package: Package, lease: timedelta, reason: str) -> list[Package]:
    """Halve a package that was surely not taken, each half a new open package; the old one is refused.

    Returns no halves if somebody else has settled it meanwhile, or a part of it: what has left the package
    must not leave again with a half. The suppression list is not asked again: a half leaves in the step that
    has just claimed the whole."""
    held = lock_packages(connection, [package.id], PackageState.OPEN)
    if not held or _still_sending(connection, package) < len(package.items):
        return []
    middle = len(package.items) // 2
    halves = []
    for items in (package.items[:middle], package.items[middle:]):
        values = {"whole": package.id, "items": len(items), "lease": lease}
        half_id: int = connection.execute(_OPEN_HALF, values).scalar_one()
        connection.execute(
            text("""
                UPDATE messages SET package_id = :half_id, earlier_packages = earlier_packages || package_id
                WHERE id = ANY(CAST(:ids AS bigint[])) AND package_id = :package_id AND status = 'sending'
            """),
            {"half_id": half_id, "package_id": package.id, "ids": [item.id for item in items]},
        )
        halves.append(Package(half_id, package.lane, items))
    connection.execute(
        text(f"""
            UPDATE packages SET state = '{PackageState.REFUSED}', rescue_at = NULL, reason = :reason
                WHERE id = :id
        """),  # noqa: S608 - our own constants
        {"id": package.id, "reason": reason},
    )
    return halves


def _still_sending(connection: Connection, package: Package) -> int:
    count: int = connection.execute(
        text("SELECT count(*) FROM messages WHERE package_id = :id AND status = :sending"),
        {"id": package.id, "sending": Status.SENDING.value},
    ).scalar_one()
    return count
