"""The Celery tasks: a thin one for each stage, and one for applications.

Celery is the clock and the pool, not the memory: a task carries a name, never a message. The exception is
`bulk_dispatch.enqueue`, for applications that do not import us; it only puts messages into the intake.

Start a worker with: celery -A bulk_dispatch.tasks worker -Q urgent,bulk,poll,celery --pool threads
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from celery import Celery
from celery.exceptions import Reject
from celery.platforms import SecurityWarning

from bulk_dispatch.beat import NonCatchUpScheduler
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.lifecycle import Lifecycle
from bulk_dispatch.messaging.celery_app import ENQUEUE, BrokerError, celery_app
from bulk_dispatch.messaging.discreet_request import Discreet, is_stale
from bulk_dispatch.messaging.task_arguments import offered
from bulk_dispatch.producer import HandedOver
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.account import watch as watch_stage
from bulk_dispatch.stages.closing import close as close_stage
from bulk_dispatch.stages.dispatch import dispatch as dispatch_stage
from bulk_dispatch.stages.ingest import Ingested, LaneOfRoute
from bulk_dispatch.stages.ingest import ingest as ingest_stage
from bulk_dispatch.stages.poll import poll as poll_stage
from bulk_dispatch.stages.receipts import match as match_stage
from bulk_dispatch.stages.rescue import rescue as rescue_stage
from bulk_dispatch.worker_process import AWAY, WorkerProcess

log = logging.getLogger(__name__)

# Celery warns of pickle when run as root, as in a developer's container. We accept JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)

try:
    settings = Settings.from_env()
    app: Celery = celery_app(settings.broker_url)
except (SettingsError, BrokerError) as unusable:
    raise SystemExit(str(unusable)) from None  # Celery would show where we noticed

process = app.process = WorkerProcess(settings, app)  # for beat's scheduler, which Celery makes
Lifecycle(process).follow_celery()
app.conf.beat_scheduler = NonCatchUpScheduler
app.conf.beat_max_loop_interval = 1


# -- the stages


@dataclass(frozen=True, slots=True)
class Passed:
    """A step that was none: this worker does not know the route. Beat comes by those who do, too."""

    unknown: str
    more: bool = False


def if_known(runtime: Runtime, route: str, stage: Callable[..., Any], *more: object) -> Any:
    """One step of a stage on a route, if it is known here: beat, or a worker that sent it, may be newer."""
    if route in runtime.routes:
        return stage(runtime, route, *more)
    log.info("unknown_route stage=%s route=%s", stage.__name__, route)
    return Passed(route)


@app.task(name="bulk_dispatch.ingest", throws=AWAY)
def ingest(lane: str) -> dict[str, Any]:
    """Move what waits in a lane of the intake into the ledger, and begin to send what is urgent of it."""
    return asdict(ingest_and_begin(process, Lane(lane)))


@app.task(name="bulk_dispatch.dispatch", throws=AWAY)
def dispatch(route: str, lane: str) -> dict[str, Any]:
    """Send what is queued on a route."""
    return asdict(dispatch_step(process, route, Lane(lane)))


@app.task(name="bulk_dispatch.poll", throws=AWAY)
def poll(route: str) -> dict[str, Any]:
    """Ask about what was sent on a route."""
    return _route_step(route, poll_stage)


@app.task(name="bulk_dispatch.rescue", throws=AWAY)
def rescue(route: str) -> dict[str, Any]:
    """Take up what died on a route, and settle what is in doubt."""
    return _route_step(route, rescue_stage)


@app.task(name="bulk_dispatch.match", throws=AWAY)
def match(route: str) -> dict[str, Any]:
    """Write down what was told of messages on a route before the ledger knew them."""
    return _route_step(route, match_stage)


@app.task(name="bulk_dispatch.watch", throws=AWAY)
def watch(route: str) -> dict[str, Any]:
    """Look at our account at a route's provider: the money left, the time there."""
    return _route_step(route, watch_stage)


@app.task(name="bulk_dispatch.close", throws=AWAY)
def close() -> dict[str, Any]:
    """Sum up what the journal has told, for the books."""
    return asdict(process.step("close", "journal", close_stage))


def _route_step(route: str, stage: Callable[[Runtime, str], Any]) -> dict[str, Any]:
    return asdict(process.step(stage.__name__, route, lambda runtime: if_known(runtime, route, stage)))


def dispatch_step(process: WorkerProcess, route: str, lane: Lane) -> Any:
    """One step of dispatch on a lane of a route."""
    name = f"{route}:{lane.value}"
    return process.step("dispatch", name, lambda runtime: if_known(runtime, route, dispatch_stage, lane))


def ingest_and_begin(process: WorkerProcess, lane: Lane) -> Ingested:
    """One step of ingest, then one of dispatch where the ingest left that to this worker.

    By way of the broker urgent messages took a fifth longer. If the dispatch fails, what was ingested stays
    so: the messages are queued, and beat schedules a dispatch every second.
    """
    done = process.step("ingest", lane.value, lambda runtime: wake_others(runtime, lane, ingest_stage))
    for route, of_route in done.wake:
        try:
            dispatch_step(process, route, of_route)
        except AWAY:
            pass  # the step has logged it
        except Exception:
            log.exception("dispatch_failed route=%s lane=%s", route, of_route)
    return done


def wake_others(
    runtime: Runtime, lane: Lane, stage: Callable[[Runtime, Lane], Iterable[Ingested]]
) -> Ingested:
    """One step of ingest, which wakes dispatchers as soon as a part of the messages is entered.

    In the urgent lane the first of them is not woken but left in `wake`, for this worker to dispatch itself.
    A worker that is stopping leaves none: it would send nothing.
    """
    done, own = Ingested(), list[LaneOfRoute]()
    for part in stage(runtime, lane):
        done += part
        for route, of_route in part.wake:
            if lane is of_route is Lane.URGENT and not own and not runtime.stopping():
                own.append((route, of_route))
            else:
                runtime.notify("dispatch", f"{route}:{of_route.value}")
    return replace(done, wake=own)


# -- the task for applications that do not import us

MOST = 10_000  # messages in one task: about 2 MB, and half a second of work

app.bury = process.bury  # for the consumer, which Celery makes


@app.task(name=ENQUEUE, Request=Discreet, bind=True)
def enqueue(self: Any, /, *given: Any, **fields: Any) -> dict[str, int]:
    """Put messages into the intake: objects of fields, lists of them, or the fields of one as keywords.

    What cannot be a message goes to the dead letters with its reason; nobody waits for an answer here. What
    names a route that is not known waits for it.
    """
    try:
        with process.heartbeat.step():
            return asdict(_hand_over(list(offered(given, fields)), stale=is_stale(self.request)))
    except (*AWAY, SettingsError) as problem:
        log.warning("enqueue_postponed problem=%s", problem)
        time.sleep(1)  # the task goes back to its queue, and must not come round like a wheel
        raise Reject(problem, requeue=True) from problem


def _hand_over(messages: Sequence[Any], *, stale: bool) -> HandedOver:
    producer = process.producer()
    if stale:
        return producer.refuse(messages, "it expired before a worker came to it, or was revoked")
    if len(messages) > MOST:
        return producer.refuse(messages, f"it has {len(messages)} messages; {MOST} at most")
    return producer.hand_over(messages, process.routes.routes)
