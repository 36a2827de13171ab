"""Who is at the other end of a connection, and kill -9 of it. By /proc, so on Linux only.

The caller is the process that opened the connection. Where several hold it, the younger ones got it by fork
and the eldest opened it: a connection used by two would be garbled, so those who inherit one leave it alone.
(A pool child that opens its own after the fork is alone with it, and is the caller.)
"""

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
PATIENCE = 10.0  # seconds for a caller to read what we sent, to stand still, to be dead
GLANCE = 0.001
STILL = frozenset("TtZX")  # stopped, traced, zombie, dead


class Spared(Exception):
    """This caller is not killed; the sentence says why."""


class Address(NamedTuple):
    """One end of a connection."""

    ip: IPv4Address | IPv6Address
    port: int

    def written(self) -> tuple[str, str]:
        """As in /proc/net/tcp and /proc/net/tcp6: words of the machine's own byte order, in hex.

        An IPv4 connection stands in the second if the socket is an IPv6 one.
        """
        mapped = self.ip if self.ip.version == 6 else ip_address(f"::ffff:{self.ip}")
        plain = self.ip if self.ip.version == 4 else None
        return (
            f"{_words(plain.packed) if plain else '-'}:{self.port:04X}",
            f"{_words(mapped.packed)}:{self.port:04X}",
        )


class Row(NamedTuple):
    """What the kernel knows of one end."""

    inode: int
    unacknowledged: int  # bytes sent that the other kernel does not have
    unread: int  # bytes come that the process has not fetched


class Caller(NamedTuple):
    """The process that asks, and the connection it asks by."""

    pid: int
    inode: int
    ours: Address
    theirs: Address

    @classmethod
    def of(cls, transport: asyncio.Transport) -> "Caller":
        """Raises `Spared` for one that we may not kill or cannot find."""
        ours, theirs = (
            Address(ip_address(host), port)
            for host, port, *_ in map(transport.get_extra_info, ("sockname", "peername"))
        )
        if not theirs.ip.is_loopback:
            raise Spared("it does not come by the loopback address")
        row = _row(theirs, ours)
        pid = _eldest(row.inode) if row else None
        if not row or pid is None:
            raise Spared("no process that we may look into holds its end of the connection")
        if pid in _kin():
            raise Spared("it is the sandbox itself, or has started it")
        return cls(pid, row.inode, ours, theirs)

    def kill(self) -> bool:
        """kill -9, and returns when it is dead: then the kernel has closed all it had open.

        False if it was gone before. The make-believe stands still for this moment.
        """
        pidfd = self._signal(signal.SIGKILL)
        if pidfd is None:
            return False
        try:
            death = select.poll()
            death.register(pidfd, select.POLLIN)
            if not death.poll(PATIENCE * 1000):
                raise TimeoutError(f"process {self.pid} outlives kill -9")
            return True
        finally:
            os.close(pidfd)

    async def stop(self) -> None:
        """SIGSTOP, and returns when every thread of it stands still."""
        pidfd = self._signal(signal.SIGSTOP)
        if pidfd is not None:
            os.close(pidfd)
            await _until(lambda: _stands_still(self.pid))

    async def has_all(self) -> None:
        """Returns once everything sent lies with its kernel."""
        await _until(lambda: not ((row := _row(self.ours, self.theirs)) and row.unacknowledged))

    async def has_read_all(self) -> None:
        """Returns once everything sent was fetched by the process itself."""
        await self.has_all()
        await _until(lambda: not ((row := _row(self.theirs, self.ours)) and row.unread))

    def _signal(self, number: signal.Signals) -> int | None:
        """Sends it to this process and no later one of the same number; its pidfd, or None if it is gone."""
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            if _holds(self.pid, self.inode):
                signal.pidfd_send_signal(pidfd, number)
                return pidfd
            os.close(pidfd)
        return None


class _Stat(NamedTuple):
    state: str
    parent: int
    started: int  # ticks since the machine started


def _row(local: Address, remote: Address) -> Row | None:
    for table, here, there in zip(("tcp", "tcp6"), local.written(), remote.written(), strict=True):
        with suppress(FileNotFoundError):  # a machine without IPv6
            for line in (PROC / "self/net" / table).read_text().splitlines():
                fields = line.split()
                if fields[1:3] == [here, there]:
                    unacknowledged, unread = (int(size, 16) for size in fields[4].split(":"))
                    return Row(int(fields[9]), unacknowledged, unread)
    return None


def _words(packed: bytes) -> str:
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _eldest(inode: int) -> int | None:
    """Of those who hold this socket. Numbers come round again, so they only part those of the same tick."""
    holders: list[tuple[int, int]] = []
    for pid in (int(each.name) for each in PROC.iterdir() if each.name.isdecimal()):
        with suppress(OSError):  # ended since
            if _holds(pid, inode):
                holders.append((_stat(pid).started, pid))
    return min(holders)[1] if holders else None


def _holds(pid: int, inode: int) -> bool:
    """False for a process of somebody else, too."""
    wanted = f"socket:[{inode}]"
    with suppress(OSError), os.scandir(PROC / str(pid) / "fd") as files:
        for file in files:
            with suppress(OSError):  # closed since
                if str(Path(file.path).readlink()) == wanted:
                    return True
    return False


def _kin() -> Iterator[int]:
    """Ourselves and, parent by parent, whoever started us, up to pid 1."""
    pid = os.getpid()
    while pid > 1:
        yield pid
        pid = _stat(pid).parent
    yield 1


def _stat(pid: int, thread: str | None = None) -> _Stat:
    """See proc(5). The name in brackets may hold anything, brackets too."""
    path = PROC / str(pid) / ("stat" if thread is None else f"task/{thread}/stat")
    fields = path.read_text().rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[19]))


def _stands_still(pid: int) -> bool:
    with suppress(OSError):  # a thread or the process has just ended
        threads = (PROC / str(pid) / "task").iterdir()
        return all(_stat(pid, each.name).state in STILL for each in threads)
    return not (PROC / str(pid)).exists()


async def _until(good: Callable[[], bool]) -> None:
    """No longer than our patience: a caller that does not read is killed all the same."""
    deadline = time.monotonic() + PATIENCE
    while not good() and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(GLANCE)
