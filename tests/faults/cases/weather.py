"""Redis goes away and comes back, or answers with an error, while workers have steps in hand: no process may
end by it, for not everybody has a supervisor."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from bulk_dispatch.domain.status import Status
from tests.faults.cases.case import Case
from tests.faults.servers import Servers
from tests.faults.world import Batch, World
from tests.waiting import eventually

JOURNAL = "TABLE journal IN SHARE MODE"  # nothing is recorded: whoever has something to record waits
IN_HAND = 3.0  # seconds at most that a step is held: PostgreSQL lets nobody wait for a lock longer than five
WHILE = 8.0  # seconds that Redis refuses: many attempts


@contextmanager
def in_hand(world: World, batch: Batch) -> Iterator[Callable[[], None]]:
    """Half of the batch is under way, and both the bulk and the poll worker hold a step: one has messages to
    take in, the other the ends of some that were sent; until the function that is yielded is called. The
    rest is handed over when the fault is over."""
    quarter, middle = len(batch.messages) // 4, len(batch.messages) // 2
    world.enqueue(batch, slice(quarter))
    world.await_status(batch, Status.SENT)
    with ExitStack() as held:
        held.enter_context(world.servers.held(JOURNAL))
        world.enqueue(batch, slice(quarter, middle))
        eventually(lambda: world.fleet_holds("bulk", "poll"), within=30, every=0.1)
        yield held.close
    batch.over()
    world.enqueue(batch, slice(middle, None))


def away(world: World, batch: Batch, *, seconds: float) -> None:
    """Killed, so that nothing is closed in order; steps end while it is away, or just after it is back."""
    with in_hand(world, batch) as let_go:
        world.servers.end_redis(signal.SIGKILL)
        time.sleep(min(seconds, IN_HAND))
        if seconds > IN_HAND:
            let_go()
            time.sleep(seconds - IN_HAND)
        world.servers.revive()
        if seconds <= IN_HAND:
            let_go()


def refused(
    world: World, batch: Batch, *, by: Callable[[Servers], AbstractContextManager[None]], seconds: float
) -> None:
    """It answers every write, or every command, with an error."""
    with in_hand(world, batch) as let_go, by(world.servers):
        time.sleep(1)
        let_go()
        time.sleep(seconds - 1)


# -- what makes it refuse, for real


@contextmanager
def replica(servers: Servers) -> Iterator[None]:
    """After a fail-over: another one is the master, which this one cannot find. READONLY."""
    with servers.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def unsaved(servers: Servers) -> Iterator[None]:
    """Its last snapshot failed, and it was told to take no more until one succeeds. MISCONF, to PING too."""
    with servers.client() as client:
        client.config_set("rdb-key-save-delay", 100_000)  # microseconds: else it is done before we kill it
        client.config_set("save", "3600 1")
        client.set("worker:faults:unsaved", 1)
        client.bgsave()
        [child] = eventually(servers.redis_server.children, every=0.01)
        child.kill()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", every=0.01)
        try:
            yield
        finally:
            client.config_set("save", "")
            client.config_set("rdb-key-save-delay", 0)


@contextmanager
def locked(servers: Servers) -> Iterator[None]:
    """A password that nobody here has; what was connected is connected anew. NOAUTH."""
    with servers.client() as client:
        client.config_set("requirepass", "another")
        servers.redis_proxy.cut()
        try:
            yield
        finally:
            client.execute_command("AUTH", "another")
            client.config_set("requirepass", "")


@contextmanager
def full(servers: Servers) -> Iterator[None]:
    """OOM: nothing may be added."""
    with servers.client() as client:
        client.config_set("maxmemory", 1)
        servers.redis_proxy.cut()
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def closed(servers: Servers) -> Iterator[None]:
    """No more clients than are there already: it says so to whoever connects, and hangs up."""
    with servers.client() as client:
        client.config_set("maxclients", 1)
        servers.redis_proxy.cut()
        try:
            yield
        finally:
            client.config_set("maxclients", 10_000)


def unblocked(world: World, batch: Batch) -> None:
    """Who waits for work is told that it waits no longer: UNBLOCKED, time and again."""
    told = 0
    with in_hand(world, batch) as let_go, world.servers.client() as client:
        let_go()
        for _ in range(20):
            for one in client.client_list():
                if "b" in one["flags"]:
                    told += client.client_unblock(int(one["id"]), error=True)
            time.sleep(0.2)
    assert told, "nobody waited"


def loading(world: World, batch: Batch) -> None:
    """It reads its data anew, slowly. LOADING: every two megabytes it has a look at who asks."""
    with in_hand(world, batch) as let_go, world.servers.client() as client:
        ballast = {f"worker:faults:{number}": os.urandom(20_000) for number in range(1000)}
        client.mset(ballast)
        client.config_set("key-load-delay", 5000)  # microseconds
        let_go()
        client.execute_command("DEBUG", "RELOAD")
        client.config_set("key-load-delay", 0)
        client.delete(*ballast)


def answers(name: str, by: Callable[[Servers], AbstractContextManager[None]]) -> Case:
    """A case of Redis that refuses."""
    return Case(f"redis_answers_{name}", partial(refused, by=by, seconds=WHILE), lives=True)


WEATHER = (
    *(
        Case(f"redis_away_for_{seconds}_s_with_steps_in_hand", partial(away, seconds=seconds), lives=True)
        for seconds in (0, 1, 5, 60)
    ),
    answers("readonly", replica),
    answers("misconf", unsaved),
    answers("noauth", locked),
    answers("oom", full),
    answers("max_clients", closed),
    Case("redis_answers_unblocked", unblocked, lives=True),
    Case("redis_answers_loading", loading, lives=True),
)
