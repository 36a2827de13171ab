"""The ledger: its tables, keys and CHECKs. The migrations build exactly this, and a test compares the two.

`messages.status` stands in no index, nor in the condition of one: then Postgres can settle and report in
place (a HOT update) instead of touching every index. So the queue is "due_at is set", not "status is queued";
a CHECK keeps the two the same. Foreign keys between the big tables are left out for the same reason;
`worker books --check` proves what they would have promised.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Connection,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.doubt_policy import POLICIES
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import FINAL, EventType, Status, transitions_of


def sql_list(values: Iterable[str]) -> str:
    """Our own constants as an SQL list, in a stable order: 'a', 'b'."""
    return ", ".join(f"'{value}'" for value in sorted(values))


def sql_transitions(event_type: EventType) -> str:
    """The transitions an event of this type may make, as an SQL list of (from_status, to_status) pairs."""
    return ", ".join(
        f"('{from_status}', '{to_status}')" for from_status, to_status in transitions_of(event_type)
    )


_INSTANT = DateTime(timezone=True)
_NOW = text("now()")
_WITH_PACKAGE = (Status.SENDING, Status.IN_DOUBT, Status.SENT)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BULK_FLOWS = 1 << 61
"""The ids of flows: those of the urgent lane are from 0, those of the bulk lane from here to twice this."""


def sql_flow_id(row: str = "") -> str:
    """The id of the flow of a row: a hash of what its messages have in common. So whoever enqueues looks
    nothing up, and waits for nobody. Two flows of one id would share turns and pauses: of a million flows,
    with a chance of one in four millions.

    Messages get it from who enters them: a generated column makes every update of a row cost twice as much in
    PostgreSQL 18, also where nothing changes that it is made of."""
    hashed = "0"
    for part in ("route", "producer", "campaign"):
        hashed = f"hashtextextended(coalesce({row}{part}, ''), {hashed})"
    lane = f"CASE {row}lane WHEN '{Lane.BULK}' THEN {BULK_FLOWS} ELSE 0 END"
    return f"({hashed} & {BULK_FLOWS - 1}) + {lane}"


message_reference = Sequence("message_reference", metadata=metadata, data_type=BigInteger)
"""Our ids at the providers: one sequence for all, never reused. Where a new ledger begins its migration says:
in a range of its own, so that two ledgers may share an account."""

messages = Table(
    "messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reference", BigInteger, nullable=False, server_default=message_reference.next_value()),
    Column("package_id", BigInteger),  # the fence: only this package's writers may settle it
    Column("enqueued_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("due_at", _INSTANT),  # when it may be claimed; set exactly while queued
    Column("valid_until", _INSTANT),  # too late to send after this
    Column("finalized_at", _INSTANT),  # set exactly when final
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),  # tries used up
    Column("segments_billed", SmallInteger),  # as the provider counts them
    Column("status", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("campaign", Text),
    Column("recipient", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("provider_message_id", Text),  # theirs
    Column("in_doubt", Text),  # its own policy; empty: its route's
    Column("send_at", _INSTANT),  # not to leave, or at least not to arrive, before this
    Column("viber_valid_until", _INSTANT),
    Column("read_at", _INSTANT),  # when they say it was read
    Column("segments_estimated", SmallInteger),  # segments, by our own count
    Column("content", JSONB),  # what its content holds beside a text
    Column("producer", Text, nullable=False, server_default=""),  # whose client id it is
    Column("corrected_by", BigInteger),  # the id of the message that went out in its stead
    Column("earlier_packages", ARRAY(BigInteger)),  # those it has been in before; none of nearly all
    Column("collided", Boolean),  # true while it is in doubt for a collision
    Column("flow_id", BigInteger, nullable=False),  # see sql_flow_id
    CheckConstraint(f"status IN ({sql_list(Status)})", name="status"),
    CheckConstraint(f"lane IN ({sql_list(Lane)})", name="lane"),
    CheckConstraint(f"kind IN ({sql_list(Kind)})", name="kind"),
    CheckConstraint(f"in_doubt IN ({sql_list(POLICIES)})", name="in_doubt"),
    CheckConstraint(f"(status = '{Status.QUEUED}') = (due_at IS NOT NULL)", name="due_while_queued"),
    CheckConstraint(f"(status IN ({sql_list(FINAL)})) = (finalized_at IS NOT NULL)", name="finalized"),
    CheckConstraint(f"status NOT IN ({sql_list(_WITH_PACKAGE)}) OR package_id IS NOT NULL", name="packed"),
    CheckConstraint(f"status <> '{Status.QUEUED}' OR package_id IS NULL", name="unpacked_while_queued"),
    CheckConstraint("corrected_by IS NULL OR finalized_at IS NOT NULL", name="corrected_when_final"),
    postgresql_with={"fillfactor": 50},
)
"""Pages are filled by half. Settle and report change no indexed column, so with room in the page they touch
no index; and the ledger is even smaller than with full pages."""

# Once per client id and producer, but those that were corrected. The client id comes first: it nearly always
# tells two keys apart by itself, and is all that the upper pages have to keep.
Index(
    "uq_messages_client_id_producer",
    messages.c.client_id,
    messages.c.producer,
    unique=True,
    postgresql_where=text("corrected_by IS NULL"),
)
# Those that were corrected: a handful.
Index(
    "ix_messages_corrected",
    messages.c.client_id,
    messages.c.producer,
    postgresql_where=text("corrected_by IS NOT NULL"),
)

# Claim reads flow by flow of a lane, oldest first. The lane is in the id of the flow.
Index(
    "ix_messages_queue",
    messages.c.route,
    messages.c.flow_id,
    messages.c.due_at,
    messages.c.id,
    postgresql_where=text("due_at IS NOT NULL"),
)
# Poll and rescue work by package.
Index("ix_messages_package_id", messages.c.package_id, postgresql_where=text("package_id IS NOT NULL"))

packages = Table(
    "packages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("route", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("message_count", Integer, nullable=False),  # messages it left with
    Column("job", Text),  # the provider's job id
    Column("opened_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("in_doubt_since", _INSTANT),  # when it was first in doubt
    Column("poll_at", _INSTANT),  # the next look at what was sent; also the lease of the poll that looks now
    Column("rescue_at", _INSTANT),  # open: when its lease runs out; in doubt: the next question
    Column("poll_count", Integer, nullable=False, server_default=text("0")),  # looks so far
    Column(
        "inquiry_count", Integer, nullable=False, server_default=text("0")
    ),  # questions so far while in doubt
    Column("reason", Text),  # what went wrong, if anything did
    Column("account", Text),  # by which it left, see Route.account_id; empty before anybody noted it
    CheckConstraint(f"state IN ({sql_list(PackageState)})", name="state"),
    CheckConstraint(f"state <> '{PackageState.OPEN}' OR rescue_at IS NOT NULL", name="leased_while_open"),
    CheckConstraint(f"state <> '{PackageState.JOB}' OR job IS NOT NULL", name="job_named"),
)
Index("ix_packages_poll", packages.c.route, packages.c.poll_at, postgresql_where=text("poll_at IS NOT NULL"))
Index(
    "ix_packages_rescue",
    packages.c.route,
    packages.c.rescue_at,
    postgresql_where=text("rescue_at IS NOT NULL"),
)

PROVIDER = "substring(p.account FROM '^[^@=]+')"
"""The provider by which a package p left; NULL before anybody noted it. Route.account_id begins with it."""

_ALL_TRANSITIONS = " OR ".join(
    f"(type = '{event_type}' AND (from_status, to_status) IN ({sql_transitions(event_type)}))"
    for event_type in EventType
    if event_type is not EventType.ENQUEUE
)
_ENTRIES = sql_list(to_status for _, to_status in transitions_of(EventType.ENQUEUE))

journal = Table(
    "journal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),  # orders what one instant holds
    Column("package_id", BigInteger),
    Column("at", _INSTANT, nullable=False, server_default=_NOW),
    Column("message_count", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("code", Text),  # the provider's word, verbatim
    Column("note", Text),  # why, or by whom
    Column("message_ids", ARRAY(BigInteger), nullable=False),  # in their order
    Column("happened_at", ARRAY(_INSTANT)),  # by the provider's clock: one for each, if it told any
    CheckConstraint(
        # Without IS NOT NULL a missing from_status makes the rest unknown, and CHECK lets the unknown pass.
        f"(type = '{EventType.ENQUEUE}' AND from_status IS NULL AND to_status IN ({_ENTRIES})) "
        f"OR (from_status IS NOT NULL AND ({_ALL_TRANSITIONS}))",
        name="transition",
    ),
    CheckConstraint("message_count > 0 AND message_count = cardinality(message_ids)", name="message_count"),
    CheckConstraint("message_count = cardinality(happened_at)", name="happened_at"),
)
"""The changes of statuses: one row for all that a statement changed alike. A row for each message would be a
third of the ledger, and of what is written to the disk, and a fifth of the server's time."""
Index("ix_journal_package_id", journal.c.package_id, postgresql_where=text("package_id IS NOT NULL"))

SPAN = "int8range({journal}message_ids[1], {journal}message_ids[{journal}message_count], '[]')"
"""The ids that a row of the journal lies between."""
BLOCK = 4096
"""A row that names no package is of ids of one block, so that few of them lie about any one id."""
Index(
    "ix_journal_span",
    text(SPAN.format(journal="")),
    _table=journal,
    postgresql_using="gist",
    postgresql_where=text("package_id IS NULL"),
)

journal_totals = Table(
    "journal_totals",
    metadata,
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("provider", Text),  # of those that failed: whose word the code is
    Column("code", Text),
    Column("message_count", BigInteger, nullable=False),
    UniqueConstraint("from_status", "to_status", "provider", "code", postgresql_nulls_not_distinct=True),
)
"""The sums of that part of the journal which is closed, so that the books need not read it again."""

journal_closing = Table(
    "journal_closing",
    metadata,
    Column("id", SmallInteger, primary_key=True, server_default=text("1")),
    Column("up_to", BigInteger, nullable=False),  # the last row of the journal that is closed
    Column("next_up_to", BigInteger, nullable=False),  # the last row of what is closed next,
    Column("next_xid", BigInteger, nullable=False),  # once every transaction up to this one has ended
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("up_to <= next_up_to", name="forward"),
)

EVENTS = """
    SELECT j.id, u.message_id, j.package_id, j.at, u.happened_at, j.type, j.from_status, j.to_status, j.code,
           j.note
    FROM journal j, unnest(j.message_ids, j.happened_at) AS u (message_id, happened_at)
"""
"""The view `events`: a row for each message that a row of the journal tells of. It finds none by itself: for
those who read them all."""


@event.listens_for(metadata, "after_create")
def _create_view(_: MetaData, connection: Connection, **_options: Any) -> None:
    connection.execute(text(f"CREATE VIEW events AS {EVENTS}"))


routes = Table(
    "routes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False, server_default="active"),
    Column("paused_until", _INSTANT),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),  # in a row
    Column("reason", Text),
    Column("changed_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("balance", Numeric),  # money left, when last asked
    Column("currency", Text),
    Column("balance_at", _INSTANT),
    Column("clock_skew", Interval),  # how far their clock was ahead of ours, when last asked
    Column("resubmit_lease_until", _INSTANT),  # the lease of the process that sends again to settle doubt
    Column(
        "unresolvable_failures", ARRAY(Integer), nullable=False, server_default=text("'{}'")
    ),  # failures that left doubt
    Column(
        "unknown_refusals", Integer, nullable=False, server_default=text("0")
    ),  # messages in a row, in words unknown
    Column("unknown_refusal", Text),  # those words
    CheckConstraint("state IN ('active', 'paused', 'stopped')", name="state"),
    CheckConstraint("(state = 'paused') = (paused_until IS NOT NULL)", name="paused_until"),
)

flows = Table(
    "flows",
    metadata,
    Column("id", BigInteger, Computed(sql_flow_id(), persisted=True), primary_key=True),
    Column("route", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("producer", Text, nullable=False),
    Column("campaign", Text, nullable=False),  # empty: of messages without one
    Column("weight", Integer, nullable=False, server_default=text("1")),  # turns for one of weight 1
    Column("paused_at", _INSTANT),
    Column("reason", Text),  # why it is paused
    Column("start_tag", Double, nullable=False, server_default=text("0")),  # of start-time fair queueing
    Column("finish_tag", Double, nullable=False, server_default=text("0")),
    Column("claimed_at", _INSTANT),  # when it was last served
    Column("mark_due_at", _INSTANT),  # nothing of it waits before this,
    Column("mark_id", BigInteger),  # and of that instant nothing before this message:
    Column("rewound_at", _INSTANT),  # so it was found at this instant
    CheckConstraint(f"lane IN ({sql_list(Lane)})", name="lane"),
    CheckConstraint("weight > 0", name="weight"),
    CheckConstraint("reason IS NULL OR paused_at IS NOT NULL", name="reason_of_pause"),
)
"""What flows were served. One that nobody has claimed of or named has no row."""
Index("ix_flows_claimed_at", flows.c.route, flows.c.lane, flows.c.claimed_at)
Index("ix_flows_start_tag", flows.c.route, flows.c.lane, flows.c.start_tag)

refused_questions = Table(
    "refused_questions",
    metadata,
    Column("route", Text, primary_key=True),
    Column("question", Text, primary_key=True),
    Column("refused_at", _INSTANT, nullable=False, server_default=_NOW),  # since when
    Column("ask_at", _INSTANT, nullable=False),  # not to be asked again before
    Column("refusals", Integer, nullable=False, server_default=text("1")),  # in a row
    Column("reason", Text, nullable=False),
    CheckConstraint(f"question IN ({sql_list(Question)})", name="question"),
)
"""Kinds of question that the provider of a route does not answer; a row stands here as long as that is so."""

provider_message_ids = Table(
    "provider_message_ids",
    metadata,
    Column("route", Text, primary_key=True),
    Column("provider_message_id", Text, primary_key=True),  # theirs, or ours where they may name that
    Column("message_id", BigInteger, nullable=False),
)
"""Which message a receipt is about. Kept for routes that get receipts: an index on messages.provider_id would
make every settlement of every route touch all indexes."""

unmatched_receipts = Table(
    "unmatched_receipts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("route", Text, nullable=False),
    Column("provider_message_id", Text, nullable=False),
    Column("at", _INSTANT, nullable=False, server_default=_NOW),
    Column("status", Text),  # what it amounts to
    Column("code", Text),
    Column("happened_at", _INSTANT),
    Column("first_channel", Boolean, nullable=False, server_default=text("false")),
    Column("read", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint(f"status IN ({sql_list(Status)})", name="status"),
)
"""Receipts that no message is known for yet: they may have come before the answer to the sending."""
Index("ix_unmatched_receipts_route", unmatched_receipts.c.route, unmatched_receipts.c.provider_message_id)

suppressions = Table(
    "suppressions",
    metadata,
    Column("recipient", Text, primary_key=True),
    Column("added_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("reason", Text),
)

duplicate_counts = Table(
    "duplicate_counts",
    metadata,
    Column("at", _INSTANT, nullable=False, server_default=_NOW),
    Column("count", Integer, nullable=False),
)
"""One row an ingest that met repeats: a counter in one row would make every ingest wait for the last."""

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("at", _INSTANT, nullable=False, server_default=_NOW),
    Column("fields", Text, nullable=False),  # what differs, for people
    Column("offered", JSONB, nullable=False),  # the message that was not sent
    Column("digest", Text, nullable=False),  # of `offered`: the same conflict is recorded once
    Column("producer", Text, nullable=False, server_default=""),
    Column("seen_at", _INSTANT),  # when somebody looked; until then the doctor tells of it
    UniqueConstraint("client_id", "producer", "digest"),
)
# Those who ask want the latest.
Index("ix_conflicts_at", conflicts.c.at, conflicts.c.id)
