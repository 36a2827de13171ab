"""The only writes to messages. Each type of event is one function; every write names the statuses it
leaves, writes its event rows in the same statement, and returns what it really changed.

Locks are taken in one order everywhere: package, its messages, the route last. Claim skips messages that
others hold, and locks the route while it holds those it picked: a transaction that has locked a route must
not wait for a message. Bulk claims of a route first wait for each other, by a lock that nobody else takes. A
repeat locks the route first, and then packages that nobody holds. Instants are the database's own.
"""

from bulk_dispatch.ledger.transitions.cancel import (
    Queue,
    QueueCursor,
    cancel,
    cancel_named,
    cancel_next,
    suppress_next,
)
from bulk_dispatch.ledger.transitions.claim import Claim, ClaimRequest, Package, claim, split
from bulk_dispatch.ledger.transitions.duplicates import Conflict, foresee, said_in
from bulk_dispatch.ledger.transitions.enqueue import Enqueued, enqueue
from bulk_dispatch.ledger.transitions.settle import Clock, Looks, Read, read, settle, take_job
from bulk_dispatch.ledger.transitions.transition import Transition, TransitionCounts, lock_packages

__all__ = [
    "Claim",
    "ClaimRequest",
    "Clock",
    "Conflict",
    "Enqueued",
    "Looks",
    "Package",
    "Queue",
    "QueueCursor",
    "Read",
    "Transition",
    "TransitionCounts",
    "cancel",
    "cancel_named",
    "cancel_next",
    "claim",
    "enqueue",
    "foresee",
    "lock_packages",
    "read",
    "said_in",
    "settle",
    "split",
    "suppress_next",
    "take_job",
]
