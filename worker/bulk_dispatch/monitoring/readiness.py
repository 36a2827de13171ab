"""Readiness: what a producer should be told before it hands messages over, by the heartbeats alone.

Cheap: it loads no Celery and pings no process. So it tells what the heartbeats do not show: a worker that
says nothing may still work. A message that waits is safe.
"""

from collections.abc import Collection
from datetime import datetime

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.monitoring.heartbeat import Heartbeat
from bulk_dispatch.monitoring.liveness import Liveness, Snapshot

LANES = tuple(lane.value for lane in Lane)
"""The queues of the workers that ingest and dispatch: a lane has one of its own."""

TAKING = frozenset({Liveness.HEALTHY, Liveness.SATURATED, Liveness.FAILING})
"""It began or ended a step a moment ago. Whether its steps succeed is for `worker doctor` to say."""

WAIT = "messages wait in Redis until one takes them"
START = "worker up, or the celery commands in docs/how-to/deploy.md"


def nobody_works(now: datetime, heartbeats: Collection[Heartbeat], lanes: Collection[str] = LANES) -> str:
    """One sentence if what is handed over now would lie in Redis: no worker ingests one of these lanes, or no
    beat is scheduling; empty if all is well."""
    missing = [lane for lane in lanes if not _workers(now, heartbeats, [lane], TAKING)]
    beats = Snapshot(now, heartbeats, waiting={}).beats
    silent = _workers(now, heartbeats, lanes, {Liveness.IDLE})
    if len(missing) == len(lanes) and not beats and silent:  # alive or not, nothing is scheduled for them
        last = max(heartbeat.sent_at for heartbeat in silent)
        return f"no beat is running, and no worker was heard of since {last:%H:%M:%S} UTC: {WAIT} ({START})"
    if len(missing) == len(lanes) and not beats:
        return f"no worker is running: {WAIT} ({START})"
    if missing:
        return f"no worker takes {' or '.join(missing)} messages: {WAIT} ({START})"
    if not beats:
        return f"no beat is running: nothing is asked about, and a lost wake-up stays lost ({START})"
    return ""


def routes_unknown_to_workers(
    now: datetime, heartbeats: Collection[Heartbeat], names: Collection[str]
) -> str:
    """One sentence if some worker that ingests or dispatches does not know some of these routes; else
    empty."""
    missing = {
        heartbeat.node: unknown
        for heartbeat in _workers(now, heartbeats, LANES, TAKING | {Liveness.IDLE})
        if (unknown := [name for name in names if name not in (heartbeat.routes or names)])  # it may not say
    }
    if not missing:
        return ""
    said = "; ".join(f"{node} does not know {', '.join(routes)}" for node, routes in missing.items())
    return f"{said}: such messages wait until the routes are read again there (worker reload)"


def _workers(
    now: datetime, heartbeats: Collection[Heartbeat], queues: Collection[str], states: Collection[Liveness]
) -> list[Heartbeat]:
    """The workers that consume one of these queues and are in one of these states."""
    snapshot = Snapshot(now, heartbeats, waiting={})
    return [
        heartbeat
        for heartbeat in heartbeats
        if not heartbeat.is_beat
        and heartbeat.queues & set(queues)
        and snapshot.check_worker(heartbeat).state in states
    ]
