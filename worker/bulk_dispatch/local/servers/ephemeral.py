"""Servers for one run of `worker demo` or of a test suite, in a folder that goes when they go."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_dispatch.local.locks import FileLock, alone, opened
from bulk_dispatch.local.servers.os_user import Say
from bulk_dispatch.local.servers.paths import data_directory
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.server_pair import Addresses, Pair
from bulk_dispatch.local.servers.shared import HOLDERS, STARTING

PREFIX = "throwaway-"
LOCK = "throwaways.lock"  # nobody sweeps a folder between its making and its being held


@contextmanager
def throwaway(
    parent: Path, durability: Durability = Durability.KILL, notify: Say = lambda _: None
) -> Iterator[tuple[Path, Addresses]]:
    """A new data directory in `parent` and its servers; afterwards both are gone.

    Before that it clears away what killed runs have left in `parent`.
    """
    parent = data_directory(parent)
    sweep(parent, notify)
    with _made(parent, notify) as folder:
        with alone(folder / STARTING) as starting:
            pair = Pair.of(folder, durability, notify)
            pair.ensure(starting, notify)
        yield folder, pair.addresses


def sweep(parent: Path, notify: Say = lambda _: None) -> None:
    """Ends and removes the throw-aways in `parent` whose makers were killed."""
    if not any(parent.glob(f"{PREFIX}*")):
        return
    with alone(parent / LOCK):
        for folder in parent.glob(f"{PREFIX}*"):
            with opened(folder / HOLDERS) as holder:
                if holder.try_alone():
                    _discard(folder, notify)


@contextmanager
def _made(parent: Path, notify: Say) -> Iterator[Path]:
    folder, holder = _make(parent)
    try:
        yield folder
    finally:
        with alone(parent / LOCK):
            _discard(folder, notify)
        holder.close()


def _make(parent: Path) -> tuple[Path, FileLock]:
    with alone(parent / LOCK):
        folder = data_directory(parent / f"{PREFIX}{secrets.token_hex(4)}")
        holder = FileLock(folder / HOLDERS)
        holder.share()
        return folder, holder


def _discard(folder: Path, notify: Say) -> None:
    """Ends the servers, whoever still uses them, and removes every trace."""
    with alone(folder / STARTING):
        pair = Pair.of(folder, Durability.KILL, notify)
        pair.kill()
        pair.place.forget_sockets()
        shutil.rmtree(folder)
