"""The only writes to messages. Each verb of the road is one function; every write names the statuses it
leaves, writes its event rows in the same statement, and returns what it really changed.

Locks are taken in one order everywhere: package, then its messages. Claim locks the route first and skips
messages that others hold, so nobody ever waits for it in a circle. Instants are the database's own.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Row, TextClause, text

from worker.ledger.governor import clock_skew, refusal, trusted_ahead
from worker.ledger.items import COLUMNS, content, item
from worker.ledger.schema import sql_list, sql_roads
from worker.sms.content import Content, Kind, Sms
from worker.sms.message import Lane, Message, differences
from worker.sms.package import Item, Limits, PackageState, fitting
from worker.sms.status import FINAL, Status, Verb, sources

# -- enqueue ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conflict:
    """A client id that came back with other content: the fields that differ."""

    client_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of the messages offered: new + duplicates + conflicts = offered."""

    new: int
    duplicates: int
    conflicts: tuple[Conflict, ...]


# Sorted, so that two writers of the same ids meet in the same order and cannot deadlock.
_ENQUEUE = text(f"""
    WITH offered AS (
        SELECT * FROM unnest(
            CAST(:client_id AS text[]), CAST(:route AS text[]), CAST(:lane AS text[]), CAST(:kind AS text[]),
            CAST(:campaign AS text[]), CAST(:recipient AS text[]), CAST(:sender AS text[]),
            CAST(:text AS text[]), CAST(:valid_until AS timestamptz[]), CAST(:in_doubt AS text[]),
            CAST(:send_at AS timestamptz[]), CAST(:viber_valid_until AS timestamptz[]),
            CAST(:counted AS smallint[]), CAST(:extra AS jsonb[])
        ) AS o (client_id, route, lane, kind, campaign, recipient, sender, text, valid_until, in_doubt,
                send_at, viber_valid_until, counted, extra)
    ), entered AS (
        INSERT INTO messages (client_id, route, lane, kind, campaign, recipient, sender, text, valid_until,
                              in_doubt, send_at, viber_valid_until, counted, extra,
                              status, due_at, finalized_at)
        SELECT o.client_id, o.route, o.lane, o.kind, o.campaign, o.recipient, o.sender, o.text, o.valid_until,
               o.in_doubt, o.send_at, o.viber_valid_until, o.counted, o.extra,
               CASE WHEN s.recipient IS NULL THEN '{Status.QUEUED}' ELSE '{Status.SUPPRESSED}' END,
               CASE WHEN s.recipient IS NULL THEN greatest(now(), o.send_at) END,
               CASE WHEN s.recipient IS NOT NULL THEN now() END
        FROM offered o LEFT JOIN stop_list s ON s.recipient = o.recipient
        ORDER BY o.client_id COLLATE "C"
        ON CONFLICT (client_id) DO NOTHING
        RETURNING id, status
    ), written AS (
        INSERT INTO events (message_id, verb, target) SELECT id, '{Verb.ENQUEUE}', status FROM entered
    )
    SELECT count(*) FROM entered
""")  # noqa: S608 - our own constants

_STORED = text("""
    SELECT client_id, kind, recipient, sender, text, extra FROM messages
    WHERE client_id = ANY(CAST(:client_ids AS text[]))
""")


def enqueue(connection: Connection, offered: Sequence[Message]) -> Enqueued:
    """Enter messages, once per client id for ever. Every message must carry its route.

    The same id with the same content is a duplicate, counted; with other content it is a conflict, recorded
    and never sent.
    """
    first: dict[str, Message] = {}
    for message in offered:
        first.setdefault(message.client_id, message)
    unique = list(first.values())
    new: int = connection.execute(_ENQUEUE, _columns(unique)).scalar_one()
    if new == len(offered):
        return Enqueued(new, 0, ())
    conflicts = _conflicts(connection, offered)
    _record_conflicts(connection, conflicts)
    repeats = len(offered) - new - len(conflicts)
    if repeats:
        connection.execute(text("INSERT INTO duplicates (count) VALUES (:count)"), {"count": repeats})
    return Enqueued(new, repeats, tuple(conflict for conflict, _ in conflicts))


def _columns(messages: Sequence[Message]) -> dict[str, list[object]]:
    return {
        "client_id": [m.client_id for m in messages],
        "route": [m.route for m in messages],
        "lane": [m.lane.value for m in messages],
        "kind": [m.kind.value for m in messages],
        "campaign": [m.campaign or None for m in messages],
        "recipient": [m.recipient for m in messages],
        "sender": [m.sender for m in messages],
        "text": [m.text for m in messages],
        "valid_until": [m.valid_until for m in messages],
        "in_doubt": [m.in_doubt.value if m.in_doubt else None for m in messages],
        "send_at": [m.send_at for m in messages],
        "viber_valid_until": [m.viber_valid_until for m in messages],
        "counted": [m.content.segments for m in messages],
        "extra": [_extra(m.content) for m in messages],
    }


def _extra(content: Content) -> str | None:
    """What a content holds beside a text, as JSON."""
    if type(content) is Sms:  # nearly every message there is
        return None
    extra = {name: value for name, value in content.as_dict().items() if name != "text"}
    return json.dumps(extra, ensure_ascii=False) if extra else None


def _conflicts(connection: Connection, offered: Iterable[Message]) -> list[tuple[Conflict, Message]]:
    """The offered messages whose id is in the ledger with other content (our own rows included)."""
    by_id = connection.execute(_STORED, {"client_ids": list({m.client_id for m in offered})})
    stored = {row.client_id: _stored_message(row) for row in by_id}
    compared = ((message, differences(message, stored[message.client_id])) for message in offered)
    return [(Conflict(message.client_id, fields), message) for message, fields in compared if fields]


def _stored_message(row: Row[tuple[str, ...]]) -> Message:
    return Message(client_id=row.client_id, recipient=row.recipient, sender=row.sender, content=content(row))


def _record_conflicts(connection: Connection, conflicts: Iterable[tuple[Conflict, Message]]) -> None:
    """Once per difference: an entry that is read again after a crash brings the same conflict again.

    Sorted, as in `_ENQUEUE`: two writers of the same conflicts cannot deadlock.
    """
    rows = [
        {
            "client_id": message.client_id,
            "fields": ", ".join(conflict.fields),
            "offered": json.dumps(message.as_dict(), ensure_ascii=False),
        }
        for conflict, message in conflicts
    ]
    rows.sort(key=lambda row: (row["client_id"], row["offered"]))
    if rows:
        connection.execute(
            text("""
                INSERT INTO conflicts (client_id, fields, offered, digest)
                VALUES (:client_id, :fields, CAST(:offered AS text)::jsonb, md5(CAST(:offered AS text)))
                ON CONFLICT DO NOTHING
            """),
            rows,
        )


# -- moves: the shared mechanism of settle, report, cancel and expiry --------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """One message to one status. `package_id` is the fence: a row that has left that package stays as it is.

    `delay` is how long a message queued again must wait; `tried` whether this used up an attempt; `note` says
    why of this move alone, where the reason given for all of them is not its own.
    """

    message_id: int
    package_id: int | None
    target: Status
    code: str = ""
    provider_id: str = ""
    segments: int | None = None
    happened_at: datetime | None = None
    delay: timedelta = timedelta(0)
    tried: bool = False
    note: str = ""


def _move_statement(verb: Verb) -> TextClause:
    return text(f"""
        WITH news AS (
            SELECT * FROM unnest(
                CAST(:message_id AS bigint[]), CAST(:package_id AS bigint[]), CAST(:target AS text[]),
                CAST(:code AS text[]), CAST(:provider_id AS text[]), CAST(:segments AS smallint[]),
                CAST(:happened_at AS timestamptz[]), CAST(:delay AS interval[]), CAST(:tried AS smallint[]),
                CAST(:notes AS text[])
            ) AS n (message_id, package_id, target, code, provider_id, segments, happened_at, delay, tried,
                    note)
        ), moved AS (
            UPDATE messages m SET
                status = n.target,
                package_id = CASE WHEN n.target <> '{Status.QUEUED}' THEN m.package_id END,
                due_at = CASE WHEN n.target = '{Status.QUEUED}' THEN now() + n.delay END,
                finalized_at = CASE WHEN n.target IN ({sql_list(FINAL)}) THEN now() END,
                attempts = m.attempts + n.tried,
                provider_id = coalesce(n.provider_id, m.provider_id),
                segments = coalesce(n.segments, m.segments)
            FROM news n
            WHERE m.id = n.message_id
              AND m.package_id IS NOT DISTINCT FROM n.package_id
              AND (m.status, n.target) IN ({sql_roads(verb)})
            RETURNING m.id, n.package_id, old.status AS source, n.target, n.code, n.happened_at,
                      n.note
        ), written AS (
            INSERT INTO events (message_id, package_id, verb, source, target, code, note, happened_at)
            SELECT id, package_id, '{verb}', source, target, code, coalesce(note, :note), happened_at
            FROM moved
        )
        SELECT target, count(*) FROM moved GROUP BY target
    """)  # noqa: S608 - our own constants


_MOVE = {verb: _move_statement(verb) for verb in (Verb.CLAIM, Verb.CANCEL, Verb.SETTLE, Verb.REPORT)}

Moved = Mapping[Status, int]
"""How many messages really entered each status."""


def _move(connection: Connection, verb: Verb, moves: Sequence[Move], note: str = "") -> Moved:
    if not moves:
        return {}
    rows = connection.execute(
        _MOVE[verb],
        {
            "message_id": [m.message_id for m in moves],
            "package_id": [m.package_id for m in moves],
            "target": [m.target.value for m in moves],
            "code": [m.code or None for m in moves],
            "provider_id": [m.provider_id or None for m in moves],
            "segments": [m.segments for m in moves],
            "happened_at": [m.happened_at for m in moves],
            "delay": [m.delay for m in moves],
            "tried": [int(m.tried) for m in moves],
            "notes": [m.note or None for m in moves],
            "note": note or None,
        },
    )
    return {Status(target): count for target, count in rows}


# -- claim -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """Messages claimed to leave in one request."""

    id: int
    lane: Lane
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: a package, or none and the reason; `more` if the queue holds more than this."""

    package: Package | None
    expired: int = 0
    more: bool = False
    why: str = ""


# What is scheduled may leave `ahead` of its time and no sooner: then the provider holds it. What waits for
# another try may not leave before that, whatever its time.
_PICK = f"""
    SELECT {COLUMNS}, m.lane, coalesce(m.valid_until <= greatest(now(), m.send_at), false) AS late
    FROM messages m
    WHERE m.route = :route AND m.due_at <= now() + CAST(:ahead AS interval)
      AND (m.due_at <= now() OR m.due_at = m.send_at)
      AND (m.send_at IS NULL OR m.send_at <= now() + CAST(:ahead AS interval)) {{lane}}
    ORDER BY m.lane DESC, m.due_at, m.id
    LIMIT :items FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - our own constants
_PICKS = {
    Lane.BULK: text(_PICK.format(lane="")),  # urgent sorts first
    Lane.URGENT: text(_PICK.format(lane=f"AND m.lane = '{Lane.URGENT}'")),
}

_OPEN_PACKAGE = text(f"""
    INSERT INTO packages (route, lane, state, items, rescue_at)
    VALUES (:route, :lane, '{PackageState.OPEN}', :items, now() + :lease) RETURNING id
""")  # noqa: S608 - our own constants

_CLAIM = text(f"""
    WITH moved AS (
        UPDATE messages SET status = '{Status.SENDING}', package_id = :package_id, due_at = NULL
        WHERE id = ANY(CAST(:ids AS bigint[]))
          AND status IN ({sql_list(s for s in sources(Verb.CLAIM, Status.SENDING) if s)})
        RETURNING id, old.status AS source
    ), written AS (
        INSERT INTO events (message_id, package_id, verb, source, target)
        SELECT id, :package_id, '{Verb.CLAIM}', source, '{Status.SENDING}' FROM moved
    )
    SELECT count(*) FROM moved
""")  # noqa: S608 - our own constants


def claim(  # noqa: PLR0913 - by name, and what is rare may be left out
    connection: Connection,
    route: str,
    lane: Lane,
    *,
    limits: Limits,
    parallel: int,
    lease: timedelta,
    ahead: timedelta = timedelta(0),
    clocked: bool = False,
    apart: Callable[[Kind], str] = lambda _: "",
) -> Claim:
    """Take the next messages of a route into a package, if the governor lets us.

    The bulk lane takes urgent messages first, and leaves one of the `parallel` packages to the urgent lane.
    Messages whose validity has passed expire here. Those that the provider holds until their time leave
    `ahead` of it, unless its clock is off; only kinds of one family, as `apart` names it, leave together. The
    route's row is locked throughout: pause, concurrency (and, once they exist, rate and fair share) are one
    decision for the whole fleet.
    """
    if closed := refusal(connection, route, parallel if lane is Lane.URGENT else max(1, parallel - 1)):
        return Claim(None, why=closed)
    skew = clock_skew(connection, route) if clocked else timedelta(0)
    values = {"route": route, "items": limits.items, "ahead": trusted_ahead(ahead, skew)}
    picked = connection.execute(_PICKS[lane], values).all()
    late = [Move(row.id, None, Status.EXPIRED) for row in picked if row.late]
    expired = _move(connection, Verb.CLAIM, late, note="validity passed while queued")
    good = [item(row, limits, skew or timedelta(0)) for row in picked if not row.late]
    items = fitting([one for one in good if apart(one.kind) == apart(good[0].kind)], limits)
    if not items:
        return Claim(None, len(late), bool(picked), why="nothing is due")
    lane_of = {row.id: Lane(row.lane) for row in picked}
    package = _open_package(connection, route, lane_of[items[0].id], items, lease)
    more = len(picked) == limits.items or len(items) < len(good)
    return Claim(package, expired.get(Status.EXPIRED, 0), more)


def _open_package(
    connection: Connection, route: str, lane: Lane, items: Sequence[Item], lease: timedelta
) -> Package:
    values = {"route": route, "lane": lane.value, "items": len(items), "lease": lease}
    package_id: int = connection.execute(_OPEN_PACKAGE, values).scalar_one()
    ids = [item.id for item in items]
    moved = connection.execute(_CLAIM, {"package_id": package_id, "ids": ids}).scalar_one()
    if moved != len(ids):  # we hold their locks: only a write that bypassed this file can do that
        raise RuntimeError(f"claimed {moved} of {len(ids)} messages that were locked")
    return Package(package_id, lane, items)


def split(connection: Connection, package: Package, route: str, lease: timedelta, why: str) -> list[Package]:
    """Halve a package that was surely not taken, each half a new open package; the old one is refused.

    Returns no halves if somebody else has settled it meanwhile, or a part of it: what has left the package
    must not leave again with a half.
    """
    held = lock_packages(connection, [package.id], PackageState.OPEN)
    if not held or _still_sending(connection, package) < len(package.items):
        return []
    middle = len(package.items) // 2
    halves = []
    for items in (package.items[:middle], package.items[middle:]):
        values = {"route": route, "lane": package.lane.value, "items": len(items), "lease": lease}
        half_id: int = connection.execute(_OPEN_PACKAGE, values).scalar_one()
        connection.execute(
            text("""
                UPDATE messages SET package_id = :half_id
                WHERE id = ANY(CAST(:ids AS bigint[])) AND package_id = :package_id AND status = 'sending'
            """),
            {"half_id": half_id, "package_id": package.id, "ids": [item.id for item in items]},
        )
        halves.append(Package(half_id, package.lane, items))
    connection.execute(
        text(f"""
            UPDATE packages SET state = '{PackageState.REFUSED}', rescue_at = NULL, why = :why WHERE id = :id
        """),  # noqa: S608 - our own constants
        {"id": package.id, "why": why},
    )
    return halves


def _still_sending(connection: Connection, package: Package) -> int:
    count: int = connection.execute(
        text("SELECT count(*) FROM messages WHERE package_id = :id AND status = :sending"),
        {"id": package.id, "sending": Status.SENDING.value},
    ).scalar_one()
    return count


# -- settle and report -----------------------------------------------------------------------------


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
        polls = CASE WHEN p.state = '{PackageState.JOB}' AND s.sending = 0 THEN 0 ELSE p.polls END,
        rescue_at = CASE WHEN s.sending > 0 AND p.state = '{PackageState.OPEN}' THEN p.rescue_at
                         WHEN s.doubtful > 0
                         THEN CASE WHEN p.doubted_at IS NULL OR '{Clock.RESCUE}' <> ALL(k.clocks)
                                   THEN now() + n.rescue ELSE p.rescue_at END END,
        doubted_at = CASE WHEN s.doubtful > 0 THEN coalesce(p.doubted_at, now()) END,
        why = coalesce(:why, p.why)
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


# What will be sent anew has another name there: a receipt for the first copy is none for the second.
_UNNAME = text("""
    DELETE FROM provider_ids p USING messages m
    WHERE m.id = ANY(CAST(:ids AS bigint[])) AND p.route = m.route AND p.id = m.provider_id
""")


def settle(
    connection: Connection,
    moves: Sequence[Move],
    looks: Mapping[int, Looks],
    *,
    news: Sequence[Move] = (),
    keeps: Collection[Clock] = (),
    emptied: PackageState = PackageState.CLOSED,
    why: str = "",
) -> Moved:
    """Record what became of messages in packages, and what is to be done with the packages next.

    `moves` are settled, then `news` reported (a message found delivered was first sent). `looks` names every
    package concerned; `keeps` are the clocks that are not the writer's to move if they run. Late writers are
    welcome: rows that left their package stay as they are.
    """
    lock_packages(connection, looks)
    moved = Counter(_move(connection, Verb.SETTLE, moves, why))
    moved.update(_move(connection, Verb.REPORT, news))
    if moved[Status.QUEUED]:
        back = [move.message_id for move in moves if move.target is Status.QUEUED]
        connection.execute(_UNNAME, {"ids": back})
    restated = list(looks)
    if not moves and set(keeps) == set(Clock):  # reports alone, and no clock to move: all there is is an end
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
            "why": why or None,
        },
    )
    return moved


@dataclass(frozen=True, slots=True)
class Read:
    """Somebody has read a message, at an instant by the provider's clock."""

    message_id: int
    code: str = ""
    happened_at: datetime | None = None


_READ = text(f"""
    WITH news AS (
        SELECT DISTINCT ON (message_id) * FROM unnest(
            CAST(:message_id AS bigint[]), CAST(:code AS text[]), CAST(:happened_at AS timestamptz[])
        ) AS n (message_id, code, happened_at)
    ), moved AS (
        UPDATE messages m SET read_at = coalesce(n.happened_at, now())
        FROM news n
        WHERE m.id = n.message_id AND m.read_at IS NULL
          AND (m.status, m.status) IN ({sql_roads(Verb.READ)})
        RETURNING m.id, m.package_id, m.status, n.code, n.happened_at
    ), written AS (
        INSERT INTO events (message_id, package_id, verb, source, target, code, happened_at)
        SELECT id, package_id, '{Verb.READ}', status, status, code, happened_at FROM moved
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


def lock_packages(
    connection: Connection, package_ids: Iterable[int], state: PackageState | None = None
) -> list[int]:
    """Lock packages, in order; those in `state` only, if one is given."""
    return list(
        connection.execute(
            text(f"""
                SELECT id FROM packages WHERE id = ANY(CAST(:ids AS bigint[]))
                {"AND state = :state" if state else ""} ORDER BY id FOR UPDATE
            """),  # noqa: S608 - our own constants
            {"ids": list(package_ids), **({"state": state.value} if state else {})},
        ).scalars()
    )


def take_job(connection: Connection, package_id: int, job: str, first_look: timedelta) -> bool:
    """Record that a package became an asynchronous job. False if its lease ran out meanwhile, or a part of it
    is in doubt already: then rescue asks for each message."""
    taken = connection.execute(
        text(f"""
            UPDATE packages SET state = '{PackageState.JOB}', job = :job, rescue_at = NULL,
                                poll_at = now() + :look
            WHERE id = :id AND state = '{PackageState.OPEN}' AND doubted_at IS NULL
        """),  # noqa: S608 - our own constants
        {"id": package_id, "job": job, "look": first_look},
    )
    return bool(taken.rowcount)


# -- cancel ----------------------------------------------------------------------------------------

# Locked in one order, so that two who withdraw the same messages wait for each other and not in a circle.
_NAMED = text("""
    SELECT id, client_id FROM messages
    WHERE client_id = ANY(CAST(:ids AS text[])) AND due_at IS NOT NULL
    ORDER BY due_at, id FOR UPDATE
""")


def cancel(connection: Connection, client_ids: Sequence[str], note: str = "") -> int:
    """Withdraw messages that are still queued. Returns how many were."""
    return len(cancel_named(connection, client_ids, note))


def cancel_named(connection: Connection, client_ids: Sequence[str], note: str = "") -> list[str]:
    """The same; returns the client ids of those withdrawn."""
    rows = connection.execute(_NAMED, {"ids": list(client_ids)}).all()
    _withdraw(connection, [row.id for row in rows], note)
    return [row.client_id for row in rows]


@dataclass(frozen=True, slots=True)
class Queue:
    """Whose queued messages are meant: of a route and a lane, of one campaign unless that is empty, enqueued
    until an instant: who cancels does not mean what comes later."""

    route: str
    lane: Lane
    campaign: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a queue: all up to this message has been seen."""

    due_at: datetime
    message_id: int


# By the index of the queue, from where the last part ended: what is withdrawn leaves dead entries in front,
# and messages of other campaigns are read once.
_NEXT = """
    SELECT id, due_at FROM messages
    WHERE route = :route AND lane = :lane AND due_at IS NOT NULL
      AND (due_at, id) > (coalesce(CAST(:due_at AS timestamptz), '-infinity'), CAST(:message_id AS bigint))
      AND enqueued_at <= :until {campaign}
    ORDER BY due_at, id LIMIT :limit FOR UPDATE
"""
_NEXT_OF_ALL = text(_NEXT.format(campaign=""))
_NEXT_OF_CAMPAIGN = text(_NEXT.format(campaign="AND campaign = :campaign"))


def cancel_next(
    connection: Connection, queue: Queue, after: Place | None, limit: int, note: str = ""
) -> tuple[int, Place | None]:
    """Withdraw the next messages of a queue, at most `limit`. Returns how many, and the place to go on from;
    None at the end."""
    values = {
        "route": queue.route,
        "lane": queue.lane.value,
        "until": queue.until,
        "due_at": after.due_at if after else None,
        "message_id": after.message_id if after else 0,
        "limit": limit,
        **({"campaign": queue.campaign} if queue.campaign else {}),
    }
    rows = connection.execute(_NEXT_OF_CAMPAIGN if queue.campaign else _NEXT_OF_ALL, values).all()
    _withdraw(connection, [row.id for row in rows], note)
    place = Place(rows[-1].due_at, rows[-1].id) if len(rows) == limit else None
    return len(rows), place


def _withdraw(connection: Connection, message_ids: Sequence[int], note: str) -> None:
    """Cancel queued messages whose locks we hold."""
    moves = [Move(message_id, None, Status.CANCELLED) for message_id in message_ids]
    moved = _move(connection, Verb.CANCEL, moves, note).get(Status.CANCELLED, 0)
    if moved != len(moves):  # only a write that bypassed this file can do that
        raise RuntimeError(f"cancelled {moved} of {len(moves)} messages that were locked")
