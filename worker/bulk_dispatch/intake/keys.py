"""The keys of the intake in Redis.

`worker:intake:LANE` (stream; fields `n`, how many messages, and `m`, a JSON array of them),
`worker:intake:LANE:waiting` (messages in that stream, kept in the same step as the stream),
`worker:intake:LANE:unrouted` (set of the routes that messages of a lane name and no worker knew),
`worker:intake:LANE:unrouted:ROUTE` (a stream of these messages, like that of a lane, with its `:waiting`),
`worker:intake:dead` (stream of what could not be entered, with the reason), `worker:intake:token:THREAD`
(which entry a thread added last, for two minutes), `worker:wakeup:NAME` (a wake-up sent a moment ago),
`worker:heartbeats` (hash; what each process last did: monitoring.heartbeat), `worker:reload` (hash; how often
all processes, and each, were asked to read the routes again).
"""

from typing import NamedTuple, TypeAlias

from bulk_dispatch.domain.message import Lane

GROUP = "ingest"
CONSUMER = "ingest"  # one name for all: what a dead process had read is then told by its idle time alone
DEAD = "worker:intake:dead"
HEARTBEATS = "worker:heartbeats"
RELOAD = "worker:reload"
FLEET = "*"  # no node has that name


class Unrouted(NamedTuple):
    """Where messages of a lane wait that name a route unknown to the worker that read them."""

    lane: Lane
    route: str  # empty: they name none, and there was no default


Place: TypeAlias = Lane | Unrouted
"""What has a stream of its own."""


def lane_of(place: Place) -> Lane:
    """The lane of the messages there."""
    return place.lane if isinstance(place, Unrouted) else place


def stream_of(place: Place) -> str:
    """The stream of a place."""
    if isinstance(place, Unrouted):
        return f"{unrouted_of(place.lane)}:{place.route}"
    return f"worker:intake:{place.value}"


def waiting_of(place: Place) -> str:
    """How many messages are in that stream."""
    return f"{stream_of(place)}:waiting"


def unrouted_of(lane: Lane) -> str:
    """The set of routes for which messages of a lane are set aside."""
    return f"worker:intake:{lane.value}:unrouted"
