"""The Celery tasks: one thin task a stage, and beat, which schedules them.

Celery is the clock and the pool, not the memory: a task carries a name, never a message. The exception is
`bulk_dispatch.enqueue`, for applications that do not import us; it only puts messages into the intake.

Start a worker with: celery -A bulk_dispatch.tasks worker -Q urgent,bulk,poll,celery --pool threads
"""

import logging
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from celery import Celery, signals
from celery.beat import Scheduler, SchedulingError
from celery.exceptions import CPendingDeprecationWarning, Reject
from celery.platforms import SecurityWarning, isatty
from celery.worker.request import Request as CeleryRequest
from kombu.common import ignore_errors

from bulk_dispatch.beat_schedule import beat_entries
from bulk_dispatch.config.settings import Secret, Settings, SettingsError, names_only
from bulk_dispatch.domain.message import Lane, Message, check_send_at
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.intake import DeadLetter, Intake, IntakeError, Parcel
from bulk_dispatch.ledger import Ledger, TooOldError
from bulk_dispatch.messaging.celery_app import ENQUEUE, BrokerError, celery_app
from bulk_dispatch.messaging.inspection import backlog
from bulk_dispatch.messaging.task_arguments import offered
from bulk_dispatch.messaging.wakeup import BACKLOG
from bulk_dispatch.monitoring.heartbeat import BEAT
from bulk_dispatch.outages import SaidOnce
from bulk_dispatch.routing import (
    Line,
    UnknownRoute,
    accept,
    named_lane,
    named_route,
    region_of_route,
    unknown_route,
)
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.account import watch as watch_stage
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

process = WorkerProcess(settings, app)


# -- the process


def _follow_hangups() -> None:
    """SIGHUP means: read the routes again. By itself Celery's worker starts anew at it, and beat ends. At a
    terminal it means that the terminal is gone, and is left alone."""
    if not isatty(sys.__stdout__):
        signal.signal(signal.SIGHUP, lambda *_: process.heartbeat.ask())


def _ready(secret: Secret | None) -> Mapping[str, Line]:
    """The lines, or the end of this process: Celery would go on without them, and do nothing for ever.

    Production never starts servers of its own; `worker up` passes the addresses of the embedded ones.
    """
    if settings.embedded:
        raise SystemExit("WORKER_DATABASE_URL and WORKER_REDIS_URL are not set; or run: worker up")
    try:
        Intake.connect(settings.redis_url).close()  # connects to nobody yet; judges the address
        return process.routes.read(secret)
    except (SettingsError, IntakeError) as problem:
        raise SystemExit(str(problem)) from None


@signals.worker_init.connect
def _check_settings(**_: object) -> None:
    _ready(secret=None)
    _check_server()


def _check_server() -> None:
    """End this process if the ledger's server will never do; one that is away comes back."""
    with closing(Ledger.connect(settings.database_url, connections=1)) as ledger:
        try:
            lacks = ledger.lacks()
        except TooOldError as problem:
            raise SystemExit(str(problem)) from None
    if lacks:
        log.warning("server_lacks problem=%s", lacks)


@signals.worker_init.connect
def _spare_garbage(**_: object) -> None:
    tune_gc()


@signals.worker_shutting_down.connect
def _stop_claiming(**_: object) -> None:
    """Let every stage finish what it has in hand and begin nothing new."""
    process.stopping.set()


@signals.celeryd_after_setup.connect
def _introduce_worker(sender: str, instance: Any, **_: object) -> None:
    hands = 1 if "prefork" in instance.pool_cls.__module__ else instance.concurrency  # of one process
    process.heartbeat.introduce(sender, instance.app.amqp.queues.consume_from.keys(), hands)
    process.report_routes()


@signals.worker_ready.connect
def _present_worker(**_: object) -> None:
    # It would explain one of our settings whenever it has lost its connection. Said here, where it listens.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    _follow_hangups()
    process.heartbeat.present()


@signals.worker_shutdown.connect
def _leave(**_: object) -> None:
    process.heartbeat.leave()


class _Brief(logging.Formatter):
    """A server that is away is said in a line: how the broker's client noticed helps nobody. So is a task
    that Celery cannot take: it would show it whole, with the texts and numbers in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        if record.name == "celery.worker.consumer.consumer":
            record.message = record.message.partition("\n")[0].partition(" headers:")[0]
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        kind, problem, _ = ei
        if kind is not None and kind.__module__.split(".")[0] in {"redis", "kombu", "celery"}:
            return f"{kind.__name__}: {problem}"
        return super().formatException(ei)


@signals.setup_logging.connect
def _log_plainly(**_: object) -> None:
    """One line an event; one a spell, if it is weather."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Brief("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(SaidOnce())
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    # The pool's would show what a task carries, before ours can hide it; the request's, that it is discarded.
    for name in (
        "celery.worker.strategy",
        "celery.worker.request",
        "celery.app.trace",
        "celery.beat",
        "celery.pool",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


# -- the stages


@dataclass(frozen=True, slots=True)
class Passed:
    """A step that was none: this worker does not know the route. Beat comes by those who do, too."""

    unknown: str
    more: bool = False


def if_known(runtime: Runtime, route: str, stage: Callable[..., Any], *more: object) -> Any:
    """One step of a stage on a route, if it is known here: beat, or a worker that sent it, may be newer."""
    if route in runtime.lines:
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


def _bury(letter: DeadLetter) -> None:
    process.producer().intake.bury(letter)


app.bury = _bury  # for the consumer, which Celery makes


STALE = "stale"  # marks the request of a task that expired or was revoked


class Discreet(CeleryRequest):
    """A request whose arguments stay out of logs and of Flower: they are texts and numbers of people."""

    argsrepr = "(…)"
    kwargsrepr = "{…}"

    def revoked(self) -> bool:
        """See Celery, which would acknowledge a task that expired or was revoked, and drop the messages in
        it. It is let run, and buries them itself: that may be tried again."""
        super().revoked()
        return False

    def _announce_revoked(self, _: str, terminated: bool, *__: object) -> None:
        if terminated:
            self.reject(requeue=True)
        else:
            self.request_dict[STALE] = True


MOST = 10_000  # messages in one task: about 2 MB, and half a second of work


@app.task(name=ENQUEUE, Request=Discreet, bind=True)
def enqueue(self: Any, /, *given: Any, **fields: Any) -> dict[str, int]:
    """Put messages into the intake: objects of fields, lists of them, or the fields of one as keywords.

    What cannot be a message goes to the dead letters with its reason; nobody waits for an answer here. What
    names a route that is not known waits for it.
    """
    try:
        with process.heartbeat.step():
            handed_over = list(offered(given, fields))
            if getattr(self.request, STALE, False):
                return _refuse(handed_over, "it expired before a worker came to it, or was revoked")
            if len(handed_over) > MOST:
                return _refuse(handed_over, f"it has {len(handed_over)} messages; {MOST} at most")
            return _take_in(handed_over)
    except (*AWAY, SettingsError) as problem:
        log.warning("enqueue_postponed problem=%s", problem)
        time.sleep(1)  # the task goes back to its queue, and must not come round like a wheel
        raise Reject(problem, requeue=True) from problem


def _refuse(handed_over: Sequence[Any], why: str) -> dict[str, int]:
    _bury(DeadLetter.about(Lane.BULK, f"task: {why}", handed_over))
    return {"taken": 0, "dead": len(handed_over)}


def _take_in(handed_over: Iterable[Any]) -> dict[str, int]:
    producer, lines = process.producer(), process.routes.lines
    taken: dict[Lane, list[Message]] = {}
    unsure: dict[Lane, list[Any]] = {}
    dead: list[DeadLetter] = []
    for raw in handed_over:
        try:
            message = Message.from_dict(raw, region_of_route(named_route(raw), lines))
            if message.send_at:
                check_send_at(message.send_at, datetime.now(UTC))
            message = accept(message, lines)
        except UnknownRoute:  # another worker may know it: who ingests decides
            taken.setdefault(message.lane, []).append(message)
        except MessageError as problem:
            if unknown_route(raw, lines) is not None and problem.field == "recipient":
                # Its route may say of which country it is: who ingests decides that, too.
                unsure.setdefault(named_lane(raw), []).append(raw)
            else:
                # Without the value: if columns are mixed up it is a text or somebody's number.
                dead.append(DeadLetter.about(Lane.BULK, f"{problem.field}: {problem.problem}", raw))
        else:
            taken.setdefault(message.lane, []).append(message)
    parcels = [*_packed(Parcel.of, taken), *_packed(Parcel.of_plain, unsure)]
    if parcels or dead:
        producer.intake.take_in(parcels, dead)
    for lane in {parcel.lane for parcel in parcels}:
        producer.notifier.notify("ingest", lane.value)
    return {"taken": sum(parcel.count for parcel in parcels), "dead": len(dead)}


def _packed(pack: Callable[[Lane, Any], Parcel], by_lane: Mapping[Lane, Sequence[Any]]) -> Iterator[Parcel]:
    for lane, messages in by_lane.items():
        for start in range(0, len(messages), CHUNK):
            yield pack(lane, messages[start : start + CHUNK])


# -- beat


class NonCatchUpScheduler(Scheduler):
    """Beat's scheduler. It keeps no file, since a missed tick needs no making up; and where ticks are not
    answered it adds none, so that a weekend without workers does not fill Redis."""

    _lines: Mapping[str, Line] | None = None

    def tick(self, *args: Any, **options: Any) -> Any:
        """See Celery; by the routes of now."""
        if self._lines is not process.routes.lines:
            self._lines = process.routes.lines
            self.merge_inplace(beat_entries(self._lines.values()))
        return super().tick(*args, **options)

    def close(self) -> None:
        """See Celery; no tick is under way any more."""
        signal.alarm(0)
        super().close()

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        try:
            if backlog(self.producer, entry.options["queue"]) < BACKLOG:
                self.apply_async(entry, producer=producer, advance=False)
        except (BrokerError, SchedulingError) as problem:  # a missed tick needs no making up
            log.warning("wakeup_not_sent tick=%s problem=%s", entry.name, problem)
            self._let_go()
        else:
            process.heartbeat.ticked()

    def _let_go(self) -> None:
        """Of the producer, which Celery keeps, and its connection: what has failed once closes the channel,
        and an error that Redis answered may not come from a new one."""
        self.__dict__.pop("producer", None)
        if connection := self.__dict__.pop("connection", None):
            with ignore_errors(connection):  # as it is broken: whatever is left of it goes
                connection.release()


AT_ONCE = 3  # seconds that a tick has when beat is to end: while the broker is away it would last


def _end_between_ticks(service: Any) -> None:
    """By itself Celery's beat closes its connection at a signal, in the middle of whatever uses it, and what
    that stumbles over was printed. Only a tick that does not end is left as it stands."""

    def end(*_: object) -> None:
        service.stop()
        signal.alarm(AT_ONCE)

    def leave(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGALRM, leave)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


@signals.beat_init.connect
def _introduce_beat(sender: Any, **_: object) -> None:
    _end_between_ticks(sender)
    visits = beat_entries(_ready(secret=names_only).values())
    visited = {visit["options"]["queue"] for visit in visits.values()}
    process.heartbeat.introduce(f"{BEAT}@{socket.gethostname()}", visited)
    process.report_routes()
    _follow_hangups()


app.conf.beat_scheduler = NonCatchUpScheduler
app.conf.beat_max_loop_interval = 1
