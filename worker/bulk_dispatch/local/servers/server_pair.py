"""PostgreSQL and Redis of one data directory, as one thing. All here is done under its starting lock."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.locks import FileLock
from bulk_dispatch.local.servers.os_user import Say
from bulk_dispatch.local.servers.paths import ServerPaths, settle
from bulk_dispatch.local.servers.postgres import Postgres
from bulk_dispatch.local.servers.redis import Redis
from bulk_dispatch.local.servers.server import Durability, ensure, kill, stop


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the pair is reached: URLs for SQLAlchemy, redis-py and kombu."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    broker_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both servers, running or not."""

    place: ServerPaths
    postgres: Postgres
    redis: Redis

    @classmethod
    def of(cls, data_dir: Path, durability: Durability, say: Say) -> Self:
        """The pair of `data_dir`, which is absolute and exists."""
        try:
            place = settle(data_dir)
        except OSError as error:
            raise LocalError(f"cannot keep servers in {data_dir}: {error}") from error
        return cls(place, Postgres(place, durability, say), Redis(place, durability, say))

    @property
    def addresses(self) -> Addresses:
        """The same for every process, and after every start."""
        return Addresses(self.postgres.url, self.redis.intake_url, self.redis.broker_url)

    @property
    def _stopping(self) -> Path:
        return self.place.run_dir / "stopping"

    def ensure(self, starting: FileLock, say: Say) -> list[str]:
        """Finds both running or starts them; the names of those it started."""
        try:
            if (
                self._stopping.exists()
            ):  # the process that began it was killed; until it is over, they still answer
                self.stop()
                self.place.open_sockets()
            return [server.name for server in (self.redis, self.postgres) if ensure(server, starting.fd, say)]
        except OSError as error:  # a full disk, a folder closed to us
            raise LocalError(f"cannot start the embedded servers: {error}") from error

    def stop(self) -> None:
        """Stops both cleanly. A server that somebody started by hand stays."""
        self._stopping.touch()
        stop(self.postgres, self.redis)
        self._stopping.unlink()
        if not self.postgres.answers():
            self.place.forget_sockets()

    def kill(self) -> None:
        """Ends both at once."""
        kill(self.postgres, self.redis)
