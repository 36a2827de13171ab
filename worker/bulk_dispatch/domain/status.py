"""The statuses of a message, what moves each on, and the one table of allowed transitions.

The SQL guards, the database CHECKs and the drawing in docs/reference/statuses.md derive from TRANSITIONS;
nothing else decides whether a message may change.
"""

from collections.abc import Iterable
from enum import StrEnum


class Status(StrEnum):
    """Where a message stands. Each message is in exactly one."""

    QUEUED = "queued"  # in the ledger, waiting for its turn; leaves by claim or cancel
    SUPPRESSED = "suppressed"  # final: the recipient is on the suppression list, and it never left
    SENDING = (
        "sending"  # in a package; a request may be on the wire; leaves by settle, or by rescue if we die
    )
    IN_DOUBT = "in_doubt"  # they may have it; leaves by settle, once asked, told, or decided by a person
    SENT = "sent"  # the provider has it; leaves by report
    DELIVERED = "delivered"  # final: on the phone
    UNDELIVERABLE = "undeliverable"  # final: cannot reach the phone
    EXPIRED = "expired"  # final: validity passed, here while queued or in the network
    REJECTED = "rejected"  # final: the provider refused this message
    CANCELLED = "cancelled"  # final: withdrawn before it left
    FAILED = "failed"  # final: attempts used up, never taken; or in doubt, and its policy says to give up
    UNCONFIRMED = (
        "unconfirmed"  # the polling horizon passed without a final report; only a late receipt moves it
    )


class EventType(StrEnum):
    """What changes a status, as `events.type` has it. Each is one function of ledger.transitions."""

    ENQUEUE = "enqueue"  # ingest, or the app's own transaction
    CLAIM = "claim"  # dispatch
    CANCEL = "cancel"  # a person or the app; or a number was put on the suppression list
    SETTLE = "settle"  # dispatch, poll (jobs), rescue, receipts, or a person
    REPORT = "report"  # poll, receipts
    READ = "read"  # the same: somebody has read it. An event and an instant, not a status
    COLLIDE = "collide"  # any stage: what the provider tells is of another message that had its id before


TRANSITIONS: dict[EventType, dict[Status | None, frozenset[Status]]] = {
    EventType.ENQUEUE: {None: frozenset({Status.QUEUED, Status.SUPPRESSED})},
    EventType.CLAIM: {Status.QUEUED: frozenset({Status.SENDING, Status.EXPIRED, Status.SUPPRESSED})},
    EventType.CANCEL: {Status.QUEUED: frozenset({Status.CANCELLED, Status.SUPPRESSED})},
    EventType.SETTLE: {
        Status.SENDING: frozenset(
            {Status.SENT, Status.REJECTED, Status.QUEUED, Status.FAILED, Status.IN_DOUBT}
        ),
        Status.IN_DOUBT: frozenset({Status.SENT, Status.REJECTED, Status.QUEUED, Status.FAILED}),
    },
    EventType.REPORT: {
        Status.SENT: frozenset(
            {
                Status.DELIVERED,
                Status.UNDELIVERABLE,
                Status.EXPIRED,
                Status.REJECTED,
                Status.CANCELLED,
                Status.UNCONFIRMED,
            }
        ),
        Status.UNCONFIRMED: frozenset(
            {Status.DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, Status.REJECTED}
        ),
    },
    EventType.READ: {Status.DELIVERED: frozenset({Status.DELIVERED})},
    EventType.COLLIDE: {
        Status.SENDING: frozenset({Status.IN_DOUBT}),
        Status.IN_DOUBT: frozenset({Status.IN_DOUBT}),
        Status.SENT: frozenset({Status.IN_DOUBT}),
    },
}
"""Type of event → status it leaves (None: a new message) → statuses it may enter."""


def transitions_of(event_type: EventType) -> list[tuple[Status | None, Status]]:
    """Every (from_status, to_status) this type of event allows, in the order the statuses are declared."""
    order = list(Status)
    return [
        (from_status, to_status)
        for from_status, targets in TRANSITIONS[event_type].items()
        for to_status in sorted(targets, key=order.index)
    ]


def sources(event_type: EventType, to_status: Status) -> frozenset[Status | None]:
    """The statuses that an event of this type may leave to enter `to_status`."""
    return frozenset(from_status for from_status, to in transitions_of(event_type) if to is to_status)


def _left() -> Iterable[Status | None]:
    return (
        from_status
        for event_type in EventType
        for from_status, to_status in transitions_of(event_type)
        if from_status is not to_status
    )


FINAL: frozenset[Status] = frozenset(Status) - frozenset(_left())
"""Statuses with no way out."""

CORRECTABLE = frozenset({Status.SUPPRESSED, Status.EXPIRED, Status.REJECTED, Status.FAILED})
"""Ends after which a corrected message may go out under the same client id: no person wanted them, and
nobody got anything. Unless the message stood in one of TAKEN before."""

TAKEN = frozenset({Status.SENT, Status.IN_DOUBT})
"""A message that stood here once was taken by a provider, or perhaps was."""
