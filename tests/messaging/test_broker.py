"""The broker's connection: a task in hand is let go of, whatever became of the connection that brought it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery
from kombu.messaging import Consumer
from redis import ConnectionPool, Redis

from bulk_dispatch.intake import Intake
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.messaging.broker import BrokerConnection
from bulk_dispatch.messaging.celery_app import celery_app
from tests.faults.proxy import Proxy
from tests.waiting import eventually

QUEUE = "poll"
Take = Callable[..., tuple[BrokerConnection, Any]]


@pytest.fixture
def app(proxy: Proxy) -> Iterator[Celery]:
    with celery_app(f"redis://127.0.0.1:{proxy.port}/1") as app:
        yield app


@pytest.fixture
def near(servers: Addresses, intake: Intake) -> Iterator[Redis]:
    """The broker's database, past the network."""
    pool = intake.client.connection_pool
    client = Redis(
        connection_pool=ConnectionPool(pool.connection_class, **{**pool.connection_kwargs, "db": 1})
    )
    yield client
    client.close()


@pytest.fixture
def take(app: Celery) -> Iterator[Take]:
    """Takes a task out of the queue, over a connection of its own."""
    opened: list[BrokerConnection] = []

    def listen(channel: Any, queue: str, heard: list[Any], room: int) -> Consumer:
        consumer = Consumer(channel, [app.amqp.queues[queue]], on_message=heard.append, accept=["json"])
        consumer.qos(prefetch_count=room)
        consumer.consume()
        return consumer

    def taken(*, new: bool = True, room: int = 2) -> tuple[BrokerConnection, Any]:
        if new:  # by the exchange's name, as others may send
            with app.connection_for_write() as way:
                app.amqp.queues[QUEUE](way.default_channel).declare()
            app.send_task(f"bulk_dispatch.{QUEUE}", args=["alpha"], exchange=QUEUE, routing_key=QUEUE)
        connection = app.connection_for_read()
        opened.append(connection)
        heard: list[Any] = []
        listen(connection.default_channel, QUEUE, heard, room)
        eventually(lambda: connection.drain_events(timeout=1) or heard)
        listen(connection.channel(), "bulk", heard, room)  # as a worker has one more, for remote control
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)  # and now it waits for more
        assert bool(heard[0].channel._in_poll) is (room > 1)
        return connection, heard[0]

    yield taken
    for connection in opened:
        connection.release()


def lose(connection: BrokerConnection) -> None:
    """As Celery's consumer does with a connection that it has lost."""
    for close in (connection.collect, connection.close):
        with suppress(connection.connection_errors):
            close()


def test_given_a_lost_connection_when_redis_is_back_then_the_task_is_handed_back(
    take: Take, proxy: Proxy, near: Redis
) -> None:
    connection, task = take()
    assert (near.llen(QUEUE), near.hlen("unacked")) == (0, 1)

    proxy.refuse()
    lose(connection)
    proxy.mend()
    task.reject(requeue=True)

    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 0)


def test_given_a_lost_connection_when_redis_is_back_then_the_task_is_acknowledged(
    take: Take, proxy: Proxy, near: Redis
) -> None:
    connection, task = take()

    proxy.refuse()
    lose(connection)
    proxy.mend()
    task.ack()

    assert (near.llen(QUEUE), near.hlen("unacked")) == (0, 0)


@pytest.mark.slow
def test_given_a_connection_closed_in_order_then_the_task_that_went_back_is_let_go_of_without_a_word(
    take: Take, near: Redis
) -> None:
    connection, task = take()

    lose(connection)
    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 0)  # it went back at once
    task.ack()

    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 0)


@pytest.mark.slow
def test_given_a_task_that_went_back_and_is_in_another_hand_when_it_is_handed_back_then_it_is_not_lost(
    take: Take, near: Redis
) -> None:
    connection, task = take()
    lose(connection)
    take(new=False, room=1)
    assert (near.llen(QUEUE), near.hlen("unacked")) == (0, 1)

    task.reject(requeue=True)

    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 0)


@pytest.mark.slow
def test_given_redis_away_when_a_task_is_handed_back_then_that_is_done_with_the_next_one(
    take: Take, proxy: Proxy, near: Redis
) -> None:
    connection, task = take()
    proxy.refuse()
    lose(connection)
    with pytest.raises(connection.connection_errors):
        task.reject(requeue=True)
    proxy.mend()
    assert (near.llen(QUEUE), near.hlen("unacked")) == (0, 1)

    _, another = take(room=1)
    another.ack()

    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 0)


@pytest.mark.slow
def test_given_a_redis_that_gave_a_task_and_refuses_to_note_it_then_it_goes_back_when_redis_is_back(
    app: Celery, take: Take, near: Redis
) -> None:
    connection, _ = take()
    app.send_task(f"bulk_dispatch.{QUEUE}", args=["beta"], exchange=QUEUE, routing_key=QUEUE)
    assert (near.llen(QUEUE), near.hlen("unacked")) == (0, 1)  # it is on its way to who waited for it

    near.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(connection.connection_errors, match="read only replica"):
            connection.drain_events(timeout=5)
    finally:
        near.replicaof("NO", "ONE")
    lose(connection)
    take(new=False, room=1)

    assert (near.llen(QUEUE), near.hlen("unacked")) == (1, 1)


def test_given_a_redis_that_refuses_then_that_is_a_lost_connection_and_the_hand_is_free(
    take: Take, near: Redis
) -> None:
    connection, task = take()
    task.channel.qos.prefetch_count = 1
    assert not task.channel.qos.can_consume()

    near.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(connection.connection_errors, match="read only replica"):
            task.ack()
    finally:
        near.replicaof("NO", "ONE")

    assert task.channel.qos.can_consume()


def test_given_an_address_with_tls_or_sentinels_then_what_redis_answers_is_weather_there_too() -> None:
    for url in ("rediss://host:6379/1", "sentinel://host:26379/1", "redis+socket:///run/redis.sock"):
        with BrokerConnection(url, transport_options={"master_name": "ours"}) as connection:
            names = {error.__name__ for error in connection.connection_errors}
        assert {"ResponseError", "ConnectionError"} <= names
