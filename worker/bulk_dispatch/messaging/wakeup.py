"""The doorbell: tells the Celery workers that there is work, without saying what.

A ring is a Celery task that carries a stage and a name. It may be lost, or be heard twice: beat comes by
anyway, and every stage looks in the ledger. A short key in Redis keeps a million enqueues from ringing a
million times.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Timer
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import ANSWER, KEEPALIVE, Intake, IntakeError
from bulk_dispatch.messaging.broker import BrokerConnection
from bulk_dispatch.redis_server import RedisServer

log = logging.getLogger(__name__)

QUIET = timedelta(seconds=1)  # a bell that nobody answers is heard again after this
BACKLOG = 100
"""Rings in a queue; with so many unheard, one more says nothing. So a weekend without workers does not fill
Redis, and no ring needs a time from which it is stale: that would be judged by the clock of another host than
set it, and by a clock that somebody may set meanwhile."""

RING = "ring"  # the header by which our own beat and bells are known: others have a celery_beat_task, too

DOOR = "celery"  # Celery's own default queue: where apps that do not import us send bulk_dispatch.enqueue
QUEUES = ("urgent", "bulk", "poll", DOOR)

ENQUEUE = "bulk_dispatch.enqueue"  # the one task that holds messages

_BINDING = "_kombu.binding."  # kombu keeps a key for each queue that was ever bound

VISIBILITY = 3600  # seconds after which Redis hands an unfinished task to another worker

OVERDUE = 2
"""Seconds. kombu asks Redis for rings with BRPOP, for one second each time, and waits for the answer without
time-out. Every so often it looks whether one is overdue by as much, and then drops the connection: at most
1 + 2 x 2 s after the network went silent, unless the loop waits for something else, which is as bounded.
By default (25) a worker stays deaf for up to 51 s."""


class BrokerError(RuntimeError):
    """The broker cannot be used. One sentence, no credential."""


class BrokerNotAllowedError(BrokerError):
    """The broker is there, and our account may not do that."""


def _check_address(broker_url: str) -> None:
    try:
        with Connection(broker_url) as connection:
            connection.get_transport_cls()
    except (ValueError, KeyError, ImportError, TypeError) as problem:  # TypeError: a parameter it lacks
        raise BrokerError(
            f"WORKER_BROKER_URL is no broker's address, or has a parameter that kombu does not know "
            f"({type(problem).__name__})"
        ) from None


class _Exchange(AMQP):  # the place where Celery lets the kind of its connections be chosen
    Connection = BrokerConnection


def queue_of(stage: str, name: str) -> str:
    """The queue of a stage: urgent work has its own, so that it never waits behind a campaign."""
    if stage in ("poll", "rescue", "match", "watch"):
        return "poll"
    return Lane.URGENT.value if name.endswith(Lane.URGENT.value) else Lane.BULK.value


def celery_app(broker_url: str) -> Celery:
    """A Celery application with the settings that this design needs; the reason stands beside each.

    Raises BrokerError for what is no broker's URL.
    """
    _check_address(broker_url)
    app = Celery("bulk_dispatch", broker=broker_url, amqp=_Exchange, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,  # the ledger is the memory
        task_acks_late=True,  # belt and braces: a lost ring only costs the wait for beat
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a prefetched ring is heard late
        worker_cancel_long_running_tasks_on_connection_loss=False,  # would cut a request in flight: doubt
        worker_send_task_events=True,  # for Flower; nothing depends on it
        worker_hijack_root_logger=False,
        worker_consumer="bulk_dispatch.messaging.unreadable_tasks:CarefulConsumer",
        task_send_sent_event=False,
        task_track_started=False,
        task_default_queue=DOOR,
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # by default a worker ends itself after the hundredth
        broker_transport_options={
            "visibility_timeout": VISIBILITY,
            "socket_timeout": OVERDUE,  # of all but BRPOP. The loop waits for these, and hears nothing else
            "socket_connect_timeout": ANSWER,
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
            "health_check_interval": OVERDUE,
            # No `retry_on_timeout`: redis-py would then retry inside a read of the worker's main thread, on a
            # new connection and for ever, and the worker is deaf. Celery reconnects by itself, and whole.
            # A ring is not worth waiting for: by default kombu would try for six seconds.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.1,
        },
        broker_pool_limit=100,  # opened as needed; Flower asks from many threads, and waits for ever for one
        worker_soft_shutdown_timeout=0,
        timezone="UTC",
    )
    return app


@contextmanager
def _redis_of(app: Celery) -> Iterator[Any]:
    """The client of the broker's Redis. Raises BrokerError if it is away, or refuses."""
    with app.connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=5)
            yield connection.default_channel.client
        except connection.channel_errors as problem:  # first: to a consumer these are lost connections, too
            raise _refusal(problem) from None  # redis-py puts the command in front: not a word of it
        except (OperationalError, *connection.connection_errors) as problem:
            raise BrokerError(f"the broker cannot be reached: {problem}") from problem


def _refusal(problem: Exception) -> BrokerError:
    said = str(problem).rpartition("caused error: ")[2]
    kind = BrokerNotAllowedError if said.startswith("NOPERM") else BrokerError
    return kind(f"the broker refuses: {said}")


def answers(app: Celery) -> bool:
    """Whether the broker is there. Raises BrokerError if not."""
    with _redis_of(app) as client:
        return bool(client.ping())


def server(app: Celery) -> RedisServer:
    """How the broker's server is set up, and how full it is. Raises BrokerError if it is away."""
    with _redis_of(app) as client:
        return RedisServer.of(client)


def bound_queues(app: Celery) -> list[str]:
    """Every queue that somebody uses in the broker's database. Raises BrokerError if it is away."""
    with _redis_of(app) as client:
        # Not KEYS: it holds Redis up for as long as it takes, and managed ones do not allow it.
        keys = list(client.scan_iter(match=f"{_BINDING}*", count=1000))
    return sorted((key.decode() if isinstance(key, bytes) else key).removeprefix(_BINDING) for key in keys)


def sees(app: Celery, key: str) -> bool:
    """Whether the broker's database holds a key. Raises BrokerError if it is away."""
    with _redis_of(app) as client:
        return bool(client.exists(key))


def backlog(producer: Producer, queue: str) -> int:
    """How many tasks wait in a queue. Raises BrokerError if the broker is away."""
    connection, channel = producer.connection, producer.channel
    if channel.closed:  # by what went wrong before
        raise BrokerError("the broker cannot be reached by this producer any more")
    try:
        # Not by the channel's own client: somebody may wait there for a message, and get our answer.
        with channel.conn_or_acquire() as client:
            return int(client.llen(queue))
    except (OperationalError, *connection.connection_errors, *connection.channel_errors) as problem:
        raise BrokerError(f"the broker cannot be reached: {problem}") from problem


def waiting(app: Celery) -> dict[str, int]:
    """How many tasks wait in each of our queues. Raises BrokerError if the broker is away."""
    with _redis_of(app) as client:
        return {queue: int(client.llen(queue)) for queue in QUEUES}


def consumers(app: Celery, patience: float = 1.0) -> dict[str, set[str]]:
    """The workers that answer within so many seconds, each with the queues it consumes.

    Raises BrokerError if the broker is away, or goes away meanwhile.
    """
    broker = app.connection_for_read()
    try:
        answers = app.control.inspect(timeout=patience).active_queues() or {}
    except broker.channel_errors as problem:
        raise _refusal(problem) from None
    except (OperationalError, *broker.connection_errors) as problem:
        raise BrokerError(f"the broker cannot be reached: {problem}") from problem
    return {worker: {queue["name"] for queue in queues} for worker, queues in answers.items()}


class Bell:
    """Rings stages over the broker; says nothing if the broker cannot be reached."""

    def __init__(self, app: Celery, intake: Intake) -> None:
        self._app = app
        self._intake = intake

    def ring(self, stage: str, name: str, after: float = 0.0) -> None:
        """Ask for one run of a stage, unless it was asked for a moment ago and nobody came yet; `after` so
        many seconds, unless a ring for later is on its way.

        Never raises for a broker or Redis that is away: the work is safe, and beat will come by.
        """
        if after:
            self._ring_later(stage, name, after)
            return
        try:
            if self._intake.first_ring(f"{stage}:{name}", QUIET):
                self._send(f"bulk_dispatch.{stage}", name.split(":"), queue_of(stage, name))
        except (IntakeError, BrokerError, OperationalError, ValueError) as problem:
            # ValueError: a database that is none
            log.warning("bell_not_heard stage=%s name=%s problem=%s", stage, name, type(problem).__name__)

    def _send(self, task: str, args: list[str], queue: str) -> None:
        with self._app.producer_or_acquire() as producer:
            if backlog(producer, queue) < BACKLOG:
                self._app.send_task(
                    task,
                    args=args,
                    queue=queue,
                    producer=producer,
                    headers={RING: True},
                    retry=False,
                    ignore_result=True,
                )

    def _ring_later(self, stage: str, name: str, after: float) -> None:
        """By a timer of this process: a task with a countdown would trust the clocks of two hosts."""
        try:
            if self._intake.first_ring(f"{stage}:{name}:later", timedelta(seconds=after)):
                timer = Timer(after, self.ring, (stage, name))
                timer.daemon = True  # nobody waits for it at the end
                timer.start()
        except RuntimeError as problem:  # Redis is away (IntakeError), or there is no thread to be had
            log.warning("bell_not_heard stage=%s name=%s problem=%s", stage, name, type(problem).__name__)

    def answered(self, stage: str, name: str) -> None:
        """Called by who comes to the door, before looking: what arrives from now on must ring again."""
        self._intake.answered(f"{stage}:{name}")
