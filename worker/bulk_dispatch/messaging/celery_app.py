"""The Celery application: its queues, and the settings that this design needs."""

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import ANSWER, KEEPALIVE
from bulk_dispatch.messaging.broker import BrokerConnection

# the header by which tasks of our own beat and notifier are known: others have a celery_beat_task, too
WAKEUP = "wakeup"

DEFAULT_QUEUE = (
    "celery"  # Celery's own default queue: where apps that do not import us send bulk_dispatch.enqueue
)
QUEUES = ("urgent", "bulk", "poll", DEFAULT_QUEUE)

ENQUEUE = "bulk_dispatch.enqueue"  # the one task that holds messages

VISIBILITY = 3600  # seconds after which Redis hands an unfinished task to another worker

OVERDUE = 2
"""Seconds. kombu asks Redis for wake-ups with BRPOP, for one second each time, and waits for the answer
without time-out. Every so often it looks whether one is overdue by as much, and then drops the connection: at
most 1 + 2 x 2 s after the network went silent, unless the loop waits for something else, which is as bounded.
By default (25) a worker consumes nothing for up to 51 s."""


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
    if stage in ("poll", "rescue", "match", "watch", "close"):
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
        task_acks_late=True,  # belt and braces: a lost wake-up only costs the wait for beat
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a prefetched wake-up is late
        worker_cancel_long_running_tasks_on_connection_loss=False,  # would cut a request in flight: doubt
        worker_send_task_events=True,  # for Flower; nothing depends on it
        worker_hijack_root_logger=False,
        worker_consumer="bulk_dispatch.messaging.unreadable_tasks:CarefulConsumer",
        task_send_sent_event=False,
        task_track_started=False,
        task_default_queue=DEFAULT_QUEUE,
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # by default a worker ends itself after the hundredth
        broker_transport_options={
            "visibility_timeout": VISIBILITY,
            "socket_timeout": OVERDUE,  # of all but BRPOP. The loop waits for these, and consumes nothing
            "socket_connect_timeout": ANSWER,
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
            "health_check_interval": OVERDUE,
            # No `retry_on_timeout`: redis-py would then retry inside a read of the worker's main thread, on a
            # new connection and for ever, and the worker consumes nothing. Celery reconnects by itself, and
            # whole. A wake-up is not worth waiting for: by default kombu would try for six seconds.
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
