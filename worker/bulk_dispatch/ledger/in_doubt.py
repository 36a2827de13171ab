"""Doubt in the book: what a policy decides, what a person is shown of it, and what that person says.

A message in doubt lies in a package that somebody comes by for: its `rescue_at` is set. So all doubt is found
by the index on that, and no status needs one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, text

from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.collisions import COLLIDED
from bulk_dispatch.ledger.schema import PROVIDER
from bulk_dispatch.ledger.transitions import Clock, Looks, Transition, lock_packages, settle

# -- for rescue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decidable:
    """A message in doubt that a policy settles: its `own`, or else its route's."""

    id: int
    package_id: int
    attempts: int
    policy: DoubtPolicy
    own: bool


def decidable(connection: Connection, package_ids: Sequence[int], policy: DoubtPolicy) -> list[Decidable]:
    """The messages in doubt of these packages that are not to be held, as those that collided are. `policy`
    is their route's."""
    rows = connection.execute(
        text(f"""
            SELECT m.id, m.package_id, m.attempts, coalesce(m.in_doubt, :policy) AS policy,
                   m.in_doubt IS NOT NULL AS own
            FROM messages m
            WHERE m.package_id = ANY(CAST(:ids AS bigint[])) AND m.status = '{Status.IN_DOUBT}'
              AND coalesce(m.in_doubt, :policy) <> '{DoubtPolicy.HOLD}' AND NOT {COLLIDED}
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(package_ids), "policy": policy.value},
    )
    return [
        Decidable(
            id=row.id,
            package_id=row.package_id,
            attempts=row.attempts,
            policy=DoubtPolicy(row.policy),
            own=row.own,
        )
        for row in rows
    ]


# -- for people --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DoubtSelection:
    """Which messages in doubt are meant: all that fit every part given. `client_ids` names them singly; they
    are those of `producer`, also where that is empty."""

    client_ids: Sequence[str] = ()
    route: str = ""
    campaign: str = ""
    older_than: timedelta = timedelta(0)
    producer: str = ""
    collided: bool = False  # held for a collision: nothing of ours can have arrived


_FOUND = f"""
    FROM packages p JOIN messages m ON m.package_id = p.id AND m.status = '{Status.IN_DOUBT}'
    WHERE p.rescue_at IS NOT NULL
"""
_LAST_DOUBT_AT = f"""
    SELECT max(e.at) FROM journal e
    WHERE e.package_id = m.package_id AND e.to_status = '{Status.IN_DOUBT}' AND m.id = ANY(e.message_ids)
"""  # noqa: S608 - our own constants
_PARTS = {
    "client_ids": "m.client_id = ANY(CAST(:client_ids AS text[])) AND m.corrected_by IS NULL",
    "producer": "m.producer = :producer",
    "route": "m.route = :route",
    "campaign": "m.campaign = :campaign",
    "collided": COLLIDED,
    # A message may have fallen in doubt later than its package did, never sooner: its own event says when.
    "older_than": f"""p.in_doubt_since <= now() - :older_than AND now() - :older_than >= (
        {_LAST_DOUBT_AT})""",
}


def _meant(selection: DoubtSelection) -> tuple[str, dict[str, object]]:
    """The FROM and WHERE that find a selection, and their values."""
    whole = {**asdict(selection), "client_ids": list(selection.client_ids)}
    exactly = {"producer"} if selection.client_ids else set()
    given: dict[str, object] = {name: whole[name] for name in _PARTS if whole[name] or name in exactly}
    return " AND ".join([_FOUND, *(_PARTS[name] for name in given)]), given


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A message in doubt, with what is known of it. Holds no text; the recipient is whole."""

    client_id: str
    producer: str
    route: str
    recipient: str = field(repr=False)
    campaign: str | None
    package_id: int
    account: str | None  # by which it left
    provider: str | None  # the dialect by which it did, whose word the code is
    reference: int  # our id at the provider, without the route's offset
    provider_message_id: str | None
    since: datetime | None
    asked: int  # questions the provider has answered about its package
    code: str | None  # the provider's word, if it was one that brought the doubt
    reason: str | None
    attempts: int
    own: DoubtPolicy | None  # its own policy
    collided: bool  # held for a collision, whatever the policy


@dataclass(frozen=True, slots=True)
class DoubtList:
    """What is in doubt: how many messages by route, of them those that collided, and the longest doubted."""

    by_route: Mapping[str, int]
    collided: Mapping[str, int]
    messages: Sequence[Doubtful]

    @property
    def total(self) -> int:
        """How many messages are in doubt."""
        return sum(self.by_route.values())


def in_doubt(connection: Connection, selection: DoubtSelection, limit: int | None) -> DoubtList:
    """What of the selection is in doubt, up to `limit` messages of it. Best read in one snapshot."""
    meant, given = _meant(selection)
    counted = connection.execute(
        text(f"""
            SELECT m.route, count(*) AS messages, count(*) FILTER (WHERE {COLLIDED}) AS collided
            {meant} GROUP BY m.route ORDER BY m.route
        """),
        given,
    ).all()
    messages = connection.execute(
        text(f"""
            SELECT l.client_id, l.producer, l.route, l.recipient, l.campaign, l.package_id, l.account,
                   l.provider, l.reference, l.provider_message_id, e.at AS since, l.inquiry_count AS asked,
                       e.code,
                   e.note AS reason, l.attempts, l.in_doubt,
                   coalesce(e.type = '{EventType.COLLIDE}', false) AS collided
            FROM (
                SELECT m.*, p.account, {PROVIDER} AS provider, p.inquiry_count, p.in_doubt_since {meant}
                ORDER BY p.in_doubt_since, m.id LIMIT :limit
            ) l
            LEFT JOIN LATERAL (
                SELECT at, code, note, type FROM journal
                WHERE package_id = l.package_id AND l.id = ANY(message_ids)
                  AND to_status = '{Status.IN_DOUBT}'
                ORDER BY id DESC LIMIT 1
            ) e ON true
            ORDER BY l.in_doubt_since, l.id
        """),  # noqa: S608 - our own constants
        {**given, "limit": limit},
    )
    return DoubtList(
        {row.route: row.messages for row in counted},
        {row.route: row.collided for row in counted if row.collided},
        [_doubtful(row) for row in messages],
    )


def _doubtful(row: Row[Any]) -> Doubtful:
    values = row._asdict()
    own = values.pop("in_doubt")
    return Doubtful(**values, own=DoubtPolicy(own) if own else None)


def elsewhere(connection: Connection, accounts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many messages in doubt left by another account than their route has now, by route; `accounts` are
    the ids of those that can be asked. Nobody asks about these messages any more."""
    pairs = [(route, account) for route, ids in accounts.items() for account in ids]
    rows = connection.execute(
        text(f"""
            SELECT m.route, count(*) {_FOUND}
              AND p.account IS NOT NULL AND p.route = ANY(CAST(:routes AS text[]))
              AND NOT EXISTS (SELECT FROM unnest(CAST(:routes AS text[]), CAST(:accounts AS text[]))
                              AS a (route, account) WHERE a.route = p.route AND a.account = p.account)
            GROUP BY m.route ORDER BY m.route
        """),  # noqa: S608 - our own constants
        {"routes": [route for route, _ in pairs], "accounts": [account for _, account in pairs]},
    )
    return dict(map(tuple, rows))


def overdue(connection: Connection, longest: Mapping[str, timedelta]) -> dict[str, int]:
    """How many messages have been in doubt for longer than is right for their route, by route."""
    rows = connection.execute(
        text(f"""
            SELECT m.route, count(*) {_FOUND}
              AND EXISTS (SELECT FROM unnest(CAST(:routes AS text[]), CAST(:longest AS interval[]))
                          AS a (route, longest)
                          WHERE a.route = p.route AND p.in_doubt_since <= now() - a.longest
                            AND now() - a.longest >= ({_LAST_DOUBT_AT}))
            GROUP BY m.route ORDER BY m.route
        """),  # noqa: S608 - our own constants
        {"routes": list(longest), "longest": list(longest.values())},
    )
    return dict(map(tuple, rows))


def statuses(connection: Connection, client_ids: Sequence[str], producer: str = "") -> dict[str, Status]:
    """Where messages of a producer stand, by client id; those the ledger does not have are left out."""
    rows = connection.execute(
        text("""
            SELECT client_id, status FROM messages
            WHERE client_id = ANY(CAST(:ids AS text[])) AND producer = :producer AND corrected_by IS NULL
        """),
        {"ids": list(client_ids), "producer": producer},
    )
    return {row.client_id: Status(row.status) for row in rows}


class Resolution(StrEnum):
    """What a person says of a message in doubt."""

    SENT = "sent"  # they have it: it is polled on like any other
    REJECTED = "rejected"  # they refused it: an end
    REQUEUE = "requeue"  # send it again, although they may have it


_TARGETS = {
    Resolution.SENT: Status.SENT,
    Resolution.REJECTED: Status.REJECTED,
    Resolution.REQUEUE: Status.QUEUED,
}

CHUNK = 1000
"""Messages settled in one transaction."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages in doubt as they were seen: each with the package it lay in, which is its fence."""

    message_ids: Sequence[int]
    package_ids: Sequence[int]


def chunks(connection: Connection, selection: DoubtSelection, size: int = CHUNK) -> list[Chunk]:
    """The selection as it stands now, package by package.

    All of it is read before any of it is settled: what falls in doubt later is not what the person meant.
    """
    meant, given = _meant(selection)
    rows = connection.execute(
        text(f"""
            WITH meant AS (
                SELECT m.id, p.id AS package_id, row_number() OVER (ORDER BY p.id, m.id) - 1 AS place {meant}
            )
            SELECT array_agg(id ORDER BY place), array_agg(package_id ORDER BY place) FROM meant
            GROUP BY place / :size ORDER BY place / :size
        """),  # noqa: S608 - our own constants
        {**given, "size": size},
    )
    return [Chunk(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A message that a person has settled."""

    client_id: str
    route: str


def resolve(
    connection: Connection,
    chunk: Chunk,
    resolution: Resolution,
    *,
    looks: Callable[[str], Looks],
    note: str,
) -> list[Resolved]:
    """Settle messages in doubt as a person says; `note` says who, and why. Returns those it really settled.

    `looks` tells the next looks at a package of a route. What others have settled meanwhile, or put into
    another package, stays as it is. A message queued again uses up no attempt, and is queued though none is
    left: who decides this knows more than we do.
    """
    lock_packages(connection, set(chunk.package_ids))
    held = _still_in_doubt(connection, chunk)
    to_status = _TARGETS[resolution]
    moves = [Transition(row.id, row.package_id, to_status, note=note) for row in held]
    # The questions about what is left in a package go on as they were.
    moved = settle(
        connection, moves, {row.package_id: looks(row.route) for row in held}, keeps=(Clock.RESCUE,)
    )
    if sum(moved.values()) != len(
        held
    ):  # we hold their packages: only a write that bypassed settle can do that
        raise RuntimeError(
            f"settled {sum(moved.values())} of {len(held)} messages whose packages were locked"
        )
    return [Resolved(row.client_id, row.route) for row in held]


def _still_in_doubt(connection: Connection, chunk: Chunk) -> Sequence[Row[Any]]:
    """Those of the chunk that are in doubt, in the same package: nobody moves them while we hold that."""
    return connection.execute(
        text(f"""
            SELECT m.id, m.package_id, m.client_id, m.route
            FROM unnest(CAST(:ids AS bigint[]), CAST(:package_ids AS bigint[])) AS c (id, package_id)
            JOIN messages m ON m.id = c.id AND m.package_id = c.package_id AND m.status = '{Status.IN_DOUBT}'
            ORDER BY m.id
        """),  # noqa: S608 - our own constants
        {"ids": list(chunk.message_ids), "package_ids": list(chunk.package_ids)},
    ).all()
