"""What befalls the broker, Redis and PostgreSQL, and the network to them."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from celery import Celery
from kombu.exceptions import OperationalError

from bulk_dispatch.client import EnqueueError
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.messaging.celery_app import DEFAULT_QUEUE
from tests.faults.cases.case import Case
from tests.faults.proxy import Proxy
from tests.faults.world import BOTH, Batch, World
from tests.waiting import eventually

MINUTE = 60.0
WHILE = 20.0  # seconds: longer than what reconnects by itself at once
BROKER = 1  # its Redis database
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'worker'"


@contextmanager
def half_way(world: World, batch: Batch) -> Iterator[None]:
    """The fault meets a campaign under way, and the rest of it is handed over afterwards."""
    middle = len(batch.messages) // 2
    world.enqueue(batch, slice(middle))
    world.await_status(batch, Status.SENDING, Status.SENT)
    yield
    batch.over()
    world.enqueue(batch, slice(middle, None))


# -- the broker: Celery's messages are no memory


def wakeups_deleted(world: World, batch: Batch) -> None:
    """Every Celery message is gone, time and again."""
    deleted = 0
    with half_way(world, batch), world.servers.client(BROKER) as broker:
        for _ in range(20):
            deleted += int(broker.delete("urgent", "bulk", "poll", "celery", "unacked", "unacked_index"))
            time.sleep(0.1)
    assert deleted, "there was nothing to delete"


def broker_flushed(world: World, batch: Batch) -> None:
    with half_way(world, batch), world.servers.client(BROKER) as broker:
        broker.flushdb()


# -- Redis


def redis_restarted(world: World, batch: Batch, *, number: signal.Signals) -> None:
    with half_way(world, batch):
        world.servers.end_redis(number)
        world.servers.revive()


def redis_stopped(world: World, batch: Batch) -> None:
    """Held still for a while, as a machine that swaps does."""
    with half_way(world, batch):
        world.servers.redis_server.suspend()
        time.sleep(WHILE)
        world.servers.redis_server.resume()


def redis_killed_at_the_door(world: World, batch: Batch) -> None:
    """The moment `enqueue` has returned, ten times over: what it promised must be there."""
    for part in range(10):
        world.enqueue(batch, slice(part * 100, (part + 1) * 100))
        world.servers.end_redis(signal.SIGKILL)
        world.servers.revive()


def redis_full(world: World, batch: Batch) -> None:
    """The application is told, and may hand the same over again."""
    with half_way(world, batch), world.servers.client() as redis:
        redis.config_set("maxmemory", 1)
        try:
            assert _refused(world, batch), "a full Redis has taken messages"
        finally:
            redis.config_set("maxmemory", 0)


def _refused(world: World, batch: Batch, part: slice = slice(None)) -> bool:
    try:
        world.enqueue(batch, part)
    except EnqueueError:
        return True
    return False


def redis_filled(world: World, batch: Batch) -> None:
    """Producers fill it while nobody reads. They are told, and what it holds drains by itself."""
    with world.servers.client() as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 6 * 2**20)
        try:
            with world.fleet.stopped("bulk"):
                parts = (slice(start, start + 500) for start in range(0, len(batch.messages), 500))
                assert any(_refused(world, batch, part) for part in parts), "Redis has taken all of it"
            batch.over()
            world.await_settled(batch, within=60)
        finally:
            redis.config_set("maxmemory", 0)


def redis_filled_by_tasks(world: World, batch: Batch) -> None:
    """Applications that do not import us fill it to the brim, ten messages a task. It drains by itself."""
    with world.servers.client() as redis, world.servers.client(BROKER) as broker:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 2**19)
        try:
            with world.fleet.stopped("urgent"):  # it takes tasks
                batch.handed_over += _taken_as_tasks(world, batch)
            assert len(batch.handed_over) < len(batch.messages), "Redis has taken all of it"
            eventually(lambda: not broker.llen(DEFAULT_QUEUE), within=120)
            batch.over()
            world.await_settled(batch, within=120)
        finally:
            redis.config_set("maxmemory", 0)


def _taken_as_tasks(world: World, batch: Batch) -> list[Message]:
    """The messages that Redis takes until it is full."""
    app = Celery(broker=world.servers.ours.broker_url, set_as_current=False)
    with app.connection_for_write() as connection, connection.Producer() as producer:
        for start in range(0, len(batch.messages), 10):
            ten = [message.as_dict() for message in batch.messages[start : start + 10]]
            try:
                app.send_task("bulk_dispatch.enqueue", args=[ten], producer=producer, retry=False)
            except OperationalError:
                return batch.messages[:start]
    return batch.messages


# -- PostgreSQL


def postgres_restarted(world: World, batch: Batch, *, number: signal.Signals) -> None:
    with half_way(world, batch):
        world.servers.end_postgres(number)
        world.servers.revive()


def backend_killed(world: World, batch: Batch) -> None:
    """One connection's process: PostgreSQL ends all the others and recovers."""
    with half_way(world, batch):
        world.servers.backends()[0].kill()
        eventually(lambda: world.statuses(batch))


def connections_terminated(world: World, batch: Batch) -> None:
    ended = 0
    with half_way(world, batch):
        for _ in range(10):
            ended += len(world.servers.ask(TERMINATE))
            time.sleep(0.2)
    assert ended, "there was nothing to terminate"


def disk_full(world: World, batch: Batch) -> None:
    """The ledger cannot grow: what is handed over meanwhile waits in Redis."""
    world.fill_ledger(120_000)
    middle = len(batch.messages) // 2
    world.enqueue(batch, slice(middle))
    with world.servers.full_disk():
        world.enqueue(batch, slice(middle, None))
        eventually(lambda: "could not extend file" in world.servers.said_by_postgres())
    batch.over()


# -- the network to both


def unreachable(world: World, batch: Batch, *, proxy: Callable[[World], Proxy], seconds: float) -> None:
    """New connections are refused."""
    with half_way(world, batch):
        proxy(world).refuse()
        time.sleep(seconds)
        proxy(world).mend()


def silent(world: World, batch: Batch, *, proxy: Callable[[World], Proxy]) -> None:
    """Not a byte passes, and nobody is told: what was connected stays dead."""
    with half_way(world, batch):
        proxy(world).silence()
        time.sleep(WHILE)
        proxy(world).mend("dead")


def cut_often(world: World, batch: Batch, *, proxy: Callable[[World], Proxy]) -> None:
    """Every connection reset, five times a second."""
    with half_way(world, batch):
        for _ in range(25):
            proxy(world).cut()
            time.sleep(0.2)


def to_redis(world: World) -> Proxy:
    """The fleet's way to Redis."""
    return world.servers.redis_proxy


def to_postgres(world: World) -> Proxy:
    """The fleet's way to PostgreSQL."""
    return world.servers.postgres_proxy


def everything_killed(world: World, batch: Batch) -> None:
    """Both servers, the provider, every worker and beat: as the power of a whole rack."""
    with half_way(world, batch):
        world.servers.end_postgres(signal.SIGQUIT)
        world.servers.end_redis()
        world.provider.kill()
        world.fleet.kill("urgent", "bulk", "poll", "beat")
        world.servers.revive()


INFRASTRUCTURE = (
    Case("celery_messages_deleted", wakeups_deleted),
    Case("broker_database_wiped", broker_flushed),
    Case("redis_restarted", partial(redis_restarted, number=signal.SIGTERM)),
    Case("redis_killed", partial(redis_restarted, number=signal.SIGKILL)),
    Case("redis_killed_as_enqueue_returns", redis_killed_at_the_door),
    Case("redis_standing_still", redis_stopped),
    Case("redis_full", redis_full),
    # Only where thousands leave at once: one a request would take minutes to drain.
    Case("redis_filled_by_producers", redis_filled, messages=60_000, routes=BOTH),
    Case("redis_filled_by_tasks", redis_filled_by_tasks, messages=3_000, routes=BOTH),
    Case("redis_unreachable", partial(unreachable, proxy=to_redis, seconds=WHILE)),
    Case("redis_network_silent", partial(silent, proxy=to_redis)),
    Case("redis_connections_cut", partial(cut_often, proxy=to_redis)),
    Case("postgres_restarted", partial(postgres_restarted, number=signal.SIGINT)),
    Case("postgres_ended_at_once", partial(postgres_restarted, number=signal.SIGQUIT)),
    Case("postgres_killed", partial(postgres_restarted, number=signal.SIGKILL)),
    Case("postgres_backend_killed", backend_killed),
    Case("postgres_connections_terminated", connections_terminated),
    Case("postgres_disk_full", disk_full),
    Case("postgres_unreachable_for_a_minute", partial(unreachable, proxy=to_postgres, seconds=MINUTE)),
    Case("postgres_network_silent", partial(silent, proxy=to_postgres)),
    Case("postgres_connections_cut", partial(cut_often, proxy=to_postgres)),
    Case("everything_killed_at_once", everything_killed),
)
