"""A real PostgreSQL 18, on a socket only."""

import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.processes.os_processes import program
from bulk_dispatch.local.servers.binaries import postgres_programs
from bulk_dispatch.local.servers.os_user import Say, give, open_way, run_as
from bulk_dispatch.local.servers.paths import ServerPaths
from bulk_dispatch.local.servers.server import Durability, first_number

CONFIGURATION = """\
# Written by worker at every start. Your own settings go into own.conf, beside this file.
listen_addresses = ''
unix_socket_directories = '{run_dir}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = {buffers}MB       # touched as needed, kept until it stops
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
wal_level = minimal            # nobody replicates a developer's ledger
max_wal_senders = 0
max_wal_size = 1GB
checkpoint_timeout = 15min
random_page_cost = 1.1         # solid state
jit = off                      # compiling costs more than our short statements take
autovacuum_naptime = 15s       # every message leaves a few dead rows behind
fsync = {flush}
full_page_writes = {flush}
# synchronous_commit stays on: without it kill -9 loses commits, and without fsync it costs next to nothing.
include_if_exists 'own.conf'
"""
COMPLAINT = re.compile(
    r"(?:ERROR|FATAL|PANIC|error|DETAIL|HINT|LOG(?=: +(?:could not|invalid|unrecognized|parameter))): +(.*)"
)
SOCKET = ".s.PGSQL.5432"
READY_LINE = 7  # of postmaster.pid, counted from zero


@dataclass(frozen=True, slots=True)
class Postgres:
    """The PostgreSQL server of one data directory."""

    place: ServerPaths
    durability: Durability
    say: Say
    name = "PostgreSQL"
    program = "postgres"
    stop_signal = Signals.SIGINT  # "fast": connections end, a last checkpoint is made
    kill_signal = Signals.SIGQUIT  # "immediate": the postmaster kills its children and leaves

    @property
    def home(self) -> Path:
        return self.place.home("postgres")

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def life(self) -> Path:
        return self.home / "life.lock"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://postgres@/worker?host={self.place.run_dir}"

    def answers(self) -> bool:
        """Whether the postmaster says it is ready, and really listens: its pid file outlives kill -9."""
        return _says_ready(self.pid_file) and _listens(self.place.run_dir / SOCKET)

    def launch(self, life: int, guard: int) -> None:
        """Starts it, after making the database the first time."""
        programs = postgres_programs()
        programs.let_use(self.place.account, self.say)
        open_way(self.home, self.place.account, self.say)
        if not self.data.exists():
            self._create(programs.folder, guard)
        self._configure()
        self._forget_stale_pids()
        self._start(programs.folder, life)

    def last_words(self) -> str:
        """The error and its details from the log of this start."""
        return _complaint(self.log.read_text(errors="replace")) if self.log.exists() else "it left no log"

    @property
    def _flush(self) -> str:
        return "on" if self.durability is Durability.POWER_CUT else "off"

    def _create(self, binaries: Path, guard: int) -> None:
        """Makes the cluster and its database in a draft folder, and renames it once it is whole.

        The commands hold the starting lock: should we be killed, the next start waits for their end
        before it throws the draft away.
        """
        self.say(f"creating a PostgreSQL database in {self.data}")
        for draft in self.home.glob("draft-*"):
            shutil.rmtree(draft)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.home))
        give(draft, self.place.account)
        self._run([str(binaries / "initdb"), "-D", str(draft), *self._cluster_options()], guard)
        single = ["--single", "-D", str(draft), "-c", "exit_on_error=on", "-c", f"fsync={self._flush}"]
        self._run([str(binaries / "postgres"), *single, "template1"], guard, "CREATE DATABASE worker\n")
        draft.rename(self.data)
        if self.durability is Durability.POWER_CUT:
            _flush(self.home)

    def _cluster_options(self) -> list[str]:
        flush = ["--sync-method=fsync" if self.durability is Durability.POWER_CUT else "--no-sync"]
        locale = ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--username=postgres", "--auth=trust", "--no-instructions", *locale, *flush]

    def _run(self, command: list[str], hold: int, told: str = "") -> None:
        done = run_as(self.place.account, command, self.home, hold, told)
        if done.returncode != 0:
            raise LocalError(f"{Path(command[0]).name} failed: {_complaint(done.stdout)}")

    def _configure(self) -> None:
        buffers = buffers_mb(_memory())
        text = CONFIGURATION.format(run_dir=self.place.run_dir, flush=self._flush, buffers=buffers)
        draft = self.data / "postgresql.conf.new"
        draft.write_text(text)
        give(draft, self.place.account)
        draft.replace(self.data / "postgresql.conf")

    def _forget_stale_pids(self) -> None:
        """Removes the pid files of a killed server whose number another program, or its own corpse, has.

        PostgreSQL would take either for a server. A number nobody has it checks better itself.
        """
        for file in (self.pid_file, self.place.run_dir / f"{SOCKET}.lock"):
            number = first_number(file)
            runs = None if number is None else program(number)
            if runs is not None and runs != self.program:
                file.unlink()

    def _start(self, binaries: Path, life: int) -> None:
        """pg_ctl puts the server in a session of its own, and leaves it to init."""
        if self.log.exists():
            self.log.replace(self.home / "log.old")
        command = [str(binaries / "pg_ctl"), "start", "--no-wait", "--silent"]
        self._run([*command, "-D", str(self.data), "-l", str(self.log)], life)


def buffers_mb(memory: int) -> int:
    """What PostgreSQL may take for its buffers, in MB, of so many bytes of memory: a quarter; at least its
    own default, at most what made campaigns faster."""
    return min(max(memory // 4 >> 20, 128), 512)


def _memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _flush(folder: Path) -> None:
    """Puts a rename in `folder` on the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def _says_ready(pid_file: Path) -> bool:
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _complaint(text: str) -> str:
    """The errors in a log, as one sentence."""
    found: list[str] = COMPLAINT.findall(text)
    return "; ".join(dict.fromkeys(found)) or text.strip().rpartition("\n")[2] or "it did not say why"
