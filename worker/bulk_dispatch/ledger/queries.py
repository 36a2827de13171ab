"""Queries: what happened to a message, whether the books balance, and what else people are shown."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, text

from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import client_id_of
from bulk_dispatch.ledger.journal import OF_MESSAGE
from bulk_dispatch.ledger.schema import PROVIDER, sql_list
from bulk_dispatch.ledger.totals import Total, totals


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a message's history."""

    at: datetime
    type: str
    from_status: str | None
    to_status: str
    package_id: int | None
    code: str | None
    note: str | None
    provider: str | None = None  # whose word the code is: the dialect by which its package left


@dataclass(frozen=True, slots=True)
class History:
    """A message as the ledger knows it, with what happened to it, oldest first. Holds no text."""

    client_id: str
    producer: str
    status: Status
    route: str
    lane: str
    recipient: str = field(repr=False)
    provider_message_id: str | None
    kind: str
    segments_billed: int | None  # as they bill them
    segments_estimated: int | None  # by our own count
    attempts: int
    enqueued_at: datetime
    send_at: datetime | None
    finalized_at: datetime | None
    read_at: datetime | None
    corrects: int  # messages that came to nothing, and in whose stead it went out
    events: tuple[Event, ...]


def history(connection: Connection, client_id: str, producer: str = "") -> History | None:
    """What is known of one message; None if the ledger has never seen this client id of the producer's. Of a
    message that was corrected it is the last one."""
    client_id, producer = client_id_of(client_id), client_id_of(producer)
    if not _may_be_asked_for(client_id + producer):
        return None
    found = connection.execute(
        text("""
            SELECT id, client_id, producer, status, route, lane, recipient, provider_message_id, kind,
                segments_billed,
                   segments_estimated, attempts, enqueued_at, send_at, finalized_at, read_at,
                   (SELECT count(*) FROM messages e WHERE e.client_id = m.client_id
                    AND e.producer = m.producer AND e.corrected_by IS NOT NULL) AS corrects
            FROM messages m
            WHERE client_id = :client_id AND producer = :producer AND corrected_by IS NULL
        """),
        {"client_id": client_id, "producer": producer},
    ).one_or_none()
    if found is None:
        return None
    lines = connection.execute(
        text(f"""
            SELECT e.at, e.type, e.from_status, e.to_status, e.package_id, e.code, e.note,
                {PROVIDER} AS provider
            FROM messages m JOIN journal e ON {OF_MESSAGE} LEFT JOIN packages p ON p.id = e.package_id
            WHERE m.id = :id ORDER BY e.id
        """),  # noqa: S608 - our own constants
        {"id": found.id},
    )
    return History(
        client_id=found.client_id,
        producer=found.producer,
        status=Status(found.status),
        route=found.route,
        lane=found.lane,
        recipient=found.recipient,
        provider_message_id=found.provider_message_id,
        kind=found.kind,
        segments_billed=found.segments_billed,
        segments_estimated=found.segments_estimated,
        attempts=found.attempts,
        enqueued_at=found.enqueued_at,
        send_at=found.send_at,
        finalized_at=found.finalized_at,
        read_at=found.read_at,
        corrects=found.corrects,
        events=tuple(Event(*line) for line in lines),
    )


def producers_of(connection: Connection, client_id: str) -> list[str]:
    """The producers that gave us a message of this client id; empty text for those without a name."""
    client_id = client_id_of(client_id)
    if not _may_be_asked_for(client_id):
        return []
    rows = connection.execute(
        text("""
            SELECT producer FROM messages WHERE client_id = :client_id AND corrected_by IS NULL
            ORDER BY producer
        """),
        {"client_id": client_id},
    )
    return list(rows.scalars())


def _may_be_asked_for(name: str) -> bool:
    """PostgreSQL takes neither NUL nor half of a surrogate pair, which no message has in its id."""
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


_IN_PACKAGES = (Status.SENDING, Status.IN_DOUBT, Status.SENT)
_KNOWN = frozenset(Status)  # a word that is none cannot stand here; if it does, the counts do not balance


def by_status(connection: Connection) -> dict[Status, int]:
    """How many messages stand in each status; statuses with none are left out."""
    rows = connection.execute(text("SELECT status, count(*) FROM messages GROUP BY status"))
    found = {Status(status): count for status, count in rows if status in _KNOWN}
    return {status: found[status] for status in Status if status in found}


@dataclass(frozen=True, slots=True)
class Ending:
    """Messages that did not arrive, for the reason that their provider gave."""

    status: str
    provider: str | None  # the dialect whose word the code is
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Books:
    """Every message given to us, by state. `unbalanced` names each status whose count the events deny."""

    total: int
    by_status: Mapping[Status, int]
    duplicates: int
    conflicts: int
    unbalanced: tuple[str, ...]
    by_code: tuple[Ending, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether the count of messages and the record of events agree."""
        return not self.unbalanced


# What is open is found by what it waits for: its turn, or the clock of its package.
_OPEN = text(f"""
    SELECT '{Status.QUEUED}' AS status, count(*) FROM messages WHERE due_at IS NOT NULL
    UNION ALL
    SELECT m.status, count(*) FROM messages m JOIN (
        SELECT id FROM packages WHERE poll_at IS NOT NULL
        UNION SELECT id FROM packages WHERE rescue_at IS NOT NULL
    ) p ON p.id = m.package_id
    WHERE m.status IN ({sql_list(_IN_PACKAGES)}) GROUP BY m.status
""")  # noqa: S608 - our own constants


def books(connection: Connection, *, whole: bool = False) -> Books:
    """The books by double entry: every change of a status takes from one account and gives to another, so for
    each status what entered it by the journal, less what left it, is what stands there.

    That is held against the messages themselves: against those that are open, so that it costs the same in a
    ledger of any age; with `whole` against all. Best read in one snapshot.
    """
    moved = list(totals(connection))
    recorded = dict.fromkeys(Status, 0)
    for one in moved:
        if one.to_status in _KNOWN:
            recorded[Status(one.to_status)] += one.count
        if one.from_status in _KNOWN:
            recorded[Status(one.from_status)] -= one.count
    standing = by_status(connection) if whole else {**recorded, **_open(connection)}
    return Books(
        total=sum(standing.values()),
        by_status={status: count for status in Status if (count := standing.get(status, 0))},
        duplicates=_one(connection, "SELECT coalesce(sum(count), 0) FROM duplicate_counts"),
        conflicts=_one(connection, "SELECT count(*) FROM conflicts"),
        unbalanced=tuple(
            f"{status}: {standing.get(status, 0)} messages, {recorded[status]} by the events"
            for status in Status
            if standing.get(status, 0) != recorded[status] or recorded[status] < 0
        ),
        by_code=_endings(moved),
    )


def _open(connection: Connection) -> dict[Status, int]:
    """How many messages are open, by status."""
    found = {Status(status): count for status, count in connection.execute(_OPEN)}
    return {status: found.get(status, 0) for status in (Status.QUEUED, *_IN_PACKAGES)}


def _endings(moved: Iterable[Total]) -> tuple[Ending, ...]:
    """Why messages did not arrive, the commonest first. An end is entered once."""
    failed: Counter[tuple[str, str | None, str]] = Counter()
    for one in moved:
        if one.code is not None:
            failed[one.to_status, one.provider, one.code] += one.count
    ends = [Ending(*why, count) for why, count in failed.items()]
    return tuple(sorted(ends, key=lambda end: (end.status, -end.count, end.code)))


def _one(connection: Connection, statement: str) -> int:
    value: int = connection.execute(text(statement)).scalar_one()
    return int(value)


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route as the ledger knows it, with what waits for it and what it has in hand."""

    name: str
    state: str
    paused_until: datetime | None
    reason: str | None
    failures: int
    queued: int
    on_the_wire: int
    in_doubt: int
    unfinished: int  # queued, or in packages that somebody still has to come by for
    receipts_kept: int  # they wait for their message
    balance: Decimal | None  # money left, when last asked
    currency: str | None
    balance_at: datetime | None
    clock_skew: timedelta | None  # how far their clock was ahead of ours, when last asked


def route_rows(connection: Connection) -> list[RouteRow]:
    """Every registered route."""
    rows = connection.execute(
        text("""
            SELECT r.name,
                   CASE WHEN r.state = 'paused' AND r.paused_until <= now() THEN 'active' ELSE r.state END,
                   r.paused_until, r.reason, r.consecutive_failures,
                   (SELECT count(*) FROM messages m WHERE m.route = r.name AND m.due_at IS NOT NULL),
                   (SELECT count(*) FROM packages p
                    WHERE p.route = r.name AND p.rescue_at IS NOT NULL AND p.state = 'open'),
                   (SELECT count(*) FROM packages p
                    JOIN messages m ON m.package_id = p.id AND m.status = 'in_doubt'
                    WHERE p.route = r.name AND p.rescue_at IS NOT NULL AND p.state = 'in_doubt'),
                   (SELECT count(*) FROM messages m WHERE m.route = r.name AND m.due_at IS NOT NULL)
                   + (SELECT coalesce(sum(p.message_count), 0)::bigint FROM packages p WHERE p.route = r.name
                      AND (p.rescue_at IS NOT NULL OR p.poll_at IS NOT NULL)),
                   (SELECT count(*) FROM unmatched_receipts k WHERE k.route = r.name),
                   r.balance, r.currency, r.balance_at, r.clock_skew
            FROM routes r ORDER BY r.name
        """)
    )
    return [RouteRow(*row) for row in rows]


def route_names(connection: Connection) -> list[str]:
    """Every registered route, those that have left the routes file among them."""
    return list(connection.execute(text("SELECT name FROM routes ORDER BY name")).scalars())


def campaign_names(connection: Connection) -> list[str]:
    """Every campaign there is a message of. Reads all messages: for those who have found nothing."""
    rows = connection.execute(text("SELECT DISTINCT campaign FROM messages WHERE campaign IS NOT NULL"))
    return sorted(rows.scalars())


def producer_names(connection: Connection) -> list[str]:
    """Every producer there is a message of, but for those without a name. Reads all messages, too."""
    rows = connection.execute(text("SELECT DISTINCT producer FROM messages WHERE producer <> ''"))
    return sorted(rows.scalars())


def now(connection: Connection) -> datetime:
    """The instant, by the clock that all of the ledger goes by."""
    instant: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return instant


def revision(connection: Connection) -> str:
    """The migration the database stands at; empty if it was never migrated."""
    there = connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one()
    if there is None:
        return ""
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found or ""
