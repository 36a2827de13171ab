"""The only writes to messages. Each verb of the road is one function; every write names the statuses it
leaves, writes its event rows in the same statement, and returns what it really changed.

Locks are taken in one order everywhere: package, then its messages. Claim locks the route first and skips
messages that others hold, so nobody ever waits for it in a circle. Instants are the database's own.
"""

from worker.ledger.transitions.cancelling import Place, Queue, cancel, cancel_named, cancel_next
from worker.ledger.transitions.claiming import Claim, Package, claim, split
from worker.ledger.transitions.entering import Conflict, Enqueued, enqueue
from worker.ledger.transitions.moves import Move, Moved, lock_packages
from worker.ledger.transitions.settling import Clock, Looks, Read, read, settle, take_job

__all__ = [
    "Claim",
    "Clock",
    "Conflict",
    "Enqueued",
    "Looks",
    "Move",
    "Moved",
    "Package",
    "Place",
    "Queue",
    "Read",
    "cancel",
    "cancel_named",
    "cancel_next",
    "claim",
    "enqueue",
    "lock_packages",
    "read",
    "settle",
    "split",
    "take_job",
]
