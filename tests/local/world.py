"""What these tests look at: the processes of a folder, and other users of the same data directory."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import redis
import sqlalchemy as sa

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.processes.os_processes import program
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.local.wait import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=20)

# Says where the servers are, or why not, stays until its standard input ends, then leaves. Another user
# it becomes once all is imported: the interpreter itself may lie where only root can read.
HOLD = """
import dataclasses, json, os, sys
from pathlib import Path
from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.shared import embedded
data_dir, uid = Path(sys.argv[1]), int(sys.argv[2])
if uid != os.geteuid():
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
try:
    with embedded(data_dir, Durability.KILL) as addresses:
        print(json.dumps(dataclasses.asdict(addresses)), flush=True)
        sys.stdin.read()
except LocalError as error:
    print(json.dumps(str(error)))
"""

BROKER = """
import sys
from kombu import Connection
with Connection(sys.argv[1]) as broker:
    client = broker.default_channel.client
    assert client.ping()
    print(client.connection_pool.connection_kwargs["db"])
"""


def eventually(happened: Callable[[], bool]) -> None:
    """Fails unless `happened` comes true in time."""
    assert wait_until(happened, PATIENCE)


def processes_in(folder: Path) -> list[str]:
    """The command lines of all that runs in, or was told of, `folder`; this process and zombies apart."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            where = str((process / "cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"{folder}/" in f"{line}/ {where}/":
            found.append(f"{process.name}: {line}")
    return found


def postmaster(data_dir: Path) -> int:
    """The process id of the PostgreSQL of `data_dir`."""
    return int((data_dir / "postgres/data/postmaster.pid").read_text().split()[0])


def redis_server(addresses: Addresses) -> int:
    """The process id of the Redis at `addresses`."""
    with redis.Redis.from_url(addresses.redis_url) as client:
        return int(client.info("server")["process_id"])


def sql(addresses: Addresses, statement: str) -> object:
    """Runs a statement in a connection of its own, and commits; the first value of the first row, if any."""
    engine = sa.create_engine(addresses.database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


def broker_database(addresses: Addresses) -> int:
    """The number of the Redis database that kombu really uses."""
    process = python(BROKER, addresses.broker_url)
    return int(process.communicate(timeout=PATIENCE.total_seconds())[0])


def kill(pid: int) -> None:
    """kill -9; returns once the kernel has closed all it had open."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not program(pid))


def python(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Another Python, in a session of its own, that knows the project but not its caller's environment."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={} if env is None else env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Holder:
    """Another process inside `embedded`."""

    process: subprocess.Popen[str]
    addresses: Addresses

    @classmethod
    def of(cls, data_dir: Path, uid: int | None = None) -> Self:
        """A process of ours, or of the user `uid`; LocalError as it says."""
        process = python(HOLD, str(data_dir), str(os.geteuid() if uid is None else uid))
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        if isinstance(said, str):
            process.communicate(timeout=PATIENCE.total_seconds())
            raise LocalError(said)
        return cls(process, Addresses(**said))

    def leave(self) -> None:
        """Lets it end by itself."""
        self.process.communicate(timeout=PATIENCE.total_seconds())
        assert self.process.returncode == 0

    def kill(self) -> None:
        """kill -9; returns once nobody holds its output any more, its servers neither."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE.total_seconds())
