"""A real Redis, on a socket only, that never evicts and keeps an append-only file."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.binaries import redis_programs
from bulk_dispatch.local.servers.os_user import Say, give, open_way, run_as
from bulk_dispatch.local.servers.paths import ServerPaths
from bulk_dispatch.local.servers.server import Durability

CONFIGURATION = """\
# Written by worker at every start.
port 0
unixsocket {run_dir}/redis.sock
unixsocketperm 700
pidfile {run_dir}/redis.pid
daemonize yes
logfile log
databases 16
# The append-only file alone is the record; no snapshots.
save ""
appendonly yes
appendfsync {flush}
# A full Redis must refuse new messages, not forget old ones.
maxmemory-policy noeviction
"""
WARNING_LINE = re.compile(r"^\d+:\w [^*#]+# (?!WARNING)(.*)$", re.MULTILINE)
ANSWER_ROOM = 64
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Redis:
    """The Redis server of one data directory."""

    place: ServerPaths
    durability: Durability
    say: Say
    name = "redis-server"
    program = "redis-server"
    stop_signal = Signals.SIGTERM
    kill_signal = Signals.SIGKILL

    @property
    def home(self) -> Path:
        return self.place.home("redis")

    @property
    def life(self) -> Path:
        return self.home / "life.lock"

    @property
    def pid_file(self) -> Path:
        return self.place.run_dir / "redis.pid"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def socket(self) -> Path:
        return self.place.run_dir / "redis.sock"

    @property
    def intake_url(self) -> str:
        """For redis-py."""
        return f"unix://{self.socket}?db=0"

    @property
    def broker_url(self) -> str:
        """For kombu."""
        return f"redis+socket://{self.socket}?virtual_host=1"

    def answers(self) -> bool:
        """Whether it answers PING with PONG; while it loads its file it answers LOADING."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_SECONDS)
            try:
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(ANSWER_ROOM).startswith(b"+PONG")
            except OSError:  # nobody there, not there yet, or not answering
                return False

    def launch(self, life: int, guard: int) -> None:  # noqa: ARG002 (nothing here outlives us half made)
        """Starts it; it puts itself in a session of its own, and under init."""
        programs, account = redis_programs(), self.place.account
        programs.let_use(account, self.say)
        open_way(self.home, account, self.say)
        settings = self._configure()
        if self.log.exists():
            self.log.replace(self.home / "log.old")
        done = run_as(account, [str(programs.folder / "redis-server"), settings.name], self.home, life)
        if done.returncode != 0:
            raise LocalError(f"redis-server did not start: {' '.join(done.stdout.split())}")

    def last_words(self) -> str:
        """The last warning in the log of this start."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        warnings: list[str] = WARNING_LINE.findall(text)
        return warnings[-1] if warnings else text.strip().rpartition("\n")[2] or "it left no log"

    def _configure(self) -> Path:
        flush = "everysec" if self.durability is Durability.POWER_CUT else "no"
        settings = self.home / "redis.conf"
        settings.write_text(CONFIGURATION.format(run_dir=self.place.run_dir, flush=flush))
        give(settings, self.place.account)
        return settings
