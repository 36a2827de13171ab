"""Looking into the broker: what waits in its queues, and which workers consume them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from bulk_dispatch.messaging.celery_app import QUEUES, BrokerError, BrokerNotAllowedError
from bulk_dispatch.redis_server import RedisServer

_BINDING = "_kombu.binding."  # kombu keeps a key for each queue that was ever bound


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
