"""A Redis that is set up as somebody else likes it: commands renamed away, accounts that may do little."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bulk_dispatch.local.servers.binaries import redis_programs
from tests.waiting import eventually


@contextmanager
def odd_redis(*options: str) -> Iterator[str]:
    """A Redis with such options, on a socket, while it lasts; its URL, of database 0."""
    with tempfile.TemporaryDirectory(prefix="worker-test-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [str(redis_programs().folder / "redis-server"), "--port", "0", "--unixsocket", str(socket)]
        plain = ["--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        process = subprocess.Popen([*command, *plain, *options], cwd=folder, stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: _answers(socket))
            yield f"unix://{socket}?db=0"
        finally:
            process.kill()
            process.wait()


def _answers(socket: Path) -> bool:
    with redis.Redis(unix_socket_path=str(socket)) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
