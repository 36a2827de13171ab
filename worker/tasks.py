"""The Celery door: one thin task a stage, and beat's timetable.

Celery is the clock and the pool, not the memory: a task carries a name, never a message. The exception is
`worker.enqueue`, for applications that do not import us; it only puts messages into the intake.

Start a worker with: celery -A worker.tasks worker -Q urgent,bulk,poll,celery --pool threads
"""

import logging
import threading
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning
from celery.worker.request import Request as CeleryRequest

from worker.bell import STALE, Bell, celery_app, queue_of
from worker.intake import DeadLetter, Intake
from worker.lines import accept, make_ready
from worker.runtime import Runtime
from worker.settings import Settings, names_only, read_routes
from worker.sms.message import Lane, Message, MessageError
from worker.stages.dispatch import dispatch as dispatch_stage
from worker.stages.ingest import ingest as ingest_stage
from worker.stages.poll import poll as poll_stage
from worker.stages.rescue import rescue as rescue_stage

log = logging.getLogger(__name__)

# Celery warns of pickle when run as root, as in a developer's container. We accept JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)

settings = Settings.from_env()
app: Celery = celery_app(settings.broker_url)

TICK = 1.0  # seconds between beat's visits; what a lost ring costs
RESCUE_TICK = 2.0


# -- the process


_opening = threading.Lock()
_stopping = threading.Event()


@cache
def _open() -> tuple[Runtime, Bell]:
    intake = Intake.connect(settings.redis_url)
    bell = Bell(app, intake)
    return Runtime.open(settings, ring=bell.ring, stopping=_stopping.is_set), bell


def _opened() -> tuple[Runtime, Bell]:
    """The process's runtime, opened by the first task and not at import: a forked child needs its own."""
    with _opening:
        return _open()


@signals.worker_init.connect
@signals.beat_init.connect
def _need_servers(**_: object) -> None:
    """Production never starts servers of its own; `worker up` passes the addresses of the embedded ones."""
    if settings.embedded:
        raise SystemExit("WORKER_DATABASE_URL and WORKER_REDIS_URL are not set; or run: worker up")


@signals.worker_shutting_down.connect
def _stop_claiming(**_: object) -> None:
    """Let every stage finish what it has in hand and begin nothing new."""
    _stopping.set()


@signals.setup_logging.connect
def _log_plainly(**_: object) -> None:
    """One line an event. httpx would log URLs, and with some providers these hold credentials."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("httpx", "httpcore", "celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)


# -- the stages


def _answer(stage: str, name: str, work: Callable[[Runtime], Any]) -> dict[str, Any]:
    """Come to the door, do one bounded step, and ring again if there is more."""
    runtime, bell = _opened()
    bell.answered(stage, name)
    counts = work(runtime)
    if counts.more and not _stopping.is_set():
        bell.ring(stage, name)
    return asdict(counts)


@app.task(name="worker.ingest")
def ingest(lane: str) -> dict[str, Any]:
    """Move what waits in a lane of the intake into the ledger."""
    return _answer("ingest", lane, lambda runtime: ingest_stage(runtime, Lane(lane)))


@app.task(name="worker.dispatch")
def dispatch(route: str, lane: str) -> dict[str, Any]:
    """Send what is queued on a route."""
    return _answer("dispatch", f"{route}:{lane}", lambda runtime: dispatch_stage(runtime, route, Lane(lane)))


@app.task(name="worker.poll")
def poll(route: str) -> dict[str, Any]:
    """Ask about what was sent on a route."""
    return _answer("poll", route, lambda runtime: poll_stage(runtime, route))


@app.task(name="worker.rescue")
def rescue(route: str) -> dict[str, Any]:
    """Take up what died on a route, and settle what is in doubt."""
    return _answer("rescue", route, lambda runtime: rescue_stage(runtime, route))


# -- the door for applications that do not import us


class Discreet(CeleryRequest):
    """A request whose arguments stay out of logs and of Flower: they are texts and numbers of people."""

    argsrepr = "(…)"
    kwargsrepr = "{…}"


@app.task(name="worker.enqueue", Request=Discreet)
def enqueue(messages: Any = None, **fields: Any) -> dict[str, int]:
    """Put messages into the intake: one object of fields, a list of them, or the fields as keywords.

    What cannot be a message goes to the dead letters with its reason; nobody waits for an answer here.
    """
    runtime, bell = _opened()
    given = [fields] if messages is None else messages if isinstance(messages, list) else [messages]
    taken: dict[Lane, list[Message]] = {}
    dead = 0
    for raw in given:
        try:
            message = accept(Message.from_dict(raw), runtime.lines)
        except MessageError as problem:
            runtime.intake.bury(DeadLetter.about(Lane.BULK, str(problem), raw))
            dead += 1
        else:
            taken.setdefault(message.lane, []).append(message)
    for lane, chunk in taken.items():
        runtime.intake.add(lane, chunk)
        bell.ring("ingest", lane.value)
    return {"taken": len(given) - dead, "dead": dead}


# -- beat


def _timetable() -> dict[str, dict[str, Any]]:
    """Every stage of every lane and route, often. Ticks carry no work; one that comes late is dropped."""
    visits = [("ingest", lane.value, TICK) for lane in Lane]
    for route in make_ready(read_routes(settings.routes, secret=names_only)):
        visits += [("dispatch", f"{route}:{lane.value}", TICK) for lane in Lane]
        visits += [("poll", route, TICK), ("rescue", route, RESCUE_TICK)]
    return {
        f"{stage} {name}": {
            "task": f"worker.{stage}",
            "args": name.split(":"),
            "schedule": seconds,
            "options": {"queue": queue_of(stage, name), "expires": STALE},
        }
        for stage, name, seconds in visits
    }


@signals.beat_init.connect
def _set_timetable(sender: Any, **_: object) -> None:
    sender.scheduler.update_from_dict(_timetable())


app.conf.beat_scheduler = "celery.beat:Scheduler"  # keeps no file: a missed tick needs no making up
app.conf.beat_max_loop_interval = 1
