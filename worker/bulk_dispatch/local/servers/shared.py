"""The pair of servers of one data directory, shared by every process that uses it.

Each user holds a share of `holders.lock`; starting and stopping is done holding `starting.lock` alone.
A process that leaves and can then have `holders.lock` alone was the last, and stops the servers. A newcomer
takes its share under `starting.lock` too, so it comes either before that look or after the stop.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.locks import FileLock, alone, opened
from bulk_dispatch.local.servers.os_user import Say
from bulk_dispatch.local.servers.paths import data_directory
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.server_pair import Addresses, Pair

HOLDERS = "holders.lock"
STARTING = "starting.lock"


@contextmanager
def embedded(
    data_dir: Path, durability: Durability = Durability.POWER_CUT, notify: Say = lambda _: None
) -> Iterator[Addresses]:
    """PostgreSQL and Redis of `data_dir`, found running or started; the last one to leave stops them.

    The durability is chosen by the process that starts them. `notify` gets a sentence now and then, for
    stderr. LocalError says in one sentence why it cannot be.
    """
    data_dir = data_directory(data_dir)
    with opened(data_dir / HOLDERS) as holder:
        addresses = _join(holder, data_dir, durability, notify)
        try:
            yield addresses
        finally:
            _leave(holder, data_dir, notify)


@contextmanager
def kept_running(
    data_dir: Path,
    durability: Durability = Durability.POWER_CUT,
    notify: Say = lambda _: None,
    every: timedelta = timedelta(seconds=5),
) -> Iterator[None]:
    """For a long stay inside `embedded` or `throwaway`: a server that dies is started again meanwhile."""
    over = threading.Event()

    def look_after() -> None:
        while not over.wait(every.total_seconds()):
            try:
                revive(data_dir, durability, notify)
            except LocalError as error:
                notify(f"{error}; trying again")

    thread = threading.Thread(target=look_after, name="keeper of the servers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def revive(data_dir: Path, durability: Durability, notify: Say) -> None:
    """Starts what has died of the pair. Only for the process that holds it."""
    data_dir = data_directory(data_dir)
    with alone(data_dir / STARTING) as starting:
        for name in Pair.of(data_dir, durability, notify).ensure(starting, notify):
            notify(f"{name} had died and was started again")


def stop_leftovers(data_dir: Path, notify: Say = lambda _: None) -> bool:
    """Stops the pair if nobody holds it any more: a killed process leaves it running. True if so."""
    if not (data_dir / HOLDERS).exists():
        return True
    data_dir = data_directory(data_dir)
    with opened(data_dir / HOLDERS) as holder:
        return _leave(holder, data_dir, notify)


def _join(holder: FileLock, data_dir: Path, durability: Durability, notify: Say) -> Addresses:
    with alone(data_dir / STARTING) as starting:
        holder.share()
        pair = Pair.of(data_dir, durability, notify)
        try:
            pair.ensure(starting, notify)
        except BaseException:
            if holder.try_alone():  # one of the two may have started
                pair.stop()
            raise
        return pair.addresses


def _leave(holder: FileLock, data_dir: Path, notify: Say) -> bool:
    with alone(data_dir / STARTING):
        if not holder.try_alone():
            return False
        Pair.of(data_dir, Durability.POWER_CUT, notify).stop()
        return True
