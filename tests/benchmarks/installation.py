"""What is measured, and how: servers of its own, a provider stand-in, Celery workers and beat, all on this
machine, in a folder that goes when they go."""

import csv
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from bulk_dispatch.config.settings import Settings, child_environment
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.spec import Child
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.local.servers.ephemeral import throwaway
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.server_pair import Addresses, Pair
from bulk_dispatch.messaging.celery_app import QUEUES, celery_app
from bulk_dispatch.messaging.inspection import consumers
from bulk_dispatch.sandbox.options import SANDBOX_KEY
from bulk_dispatch.sandbox.routes import routes_file
from tests.benchmarks.builds import ROOT, import_path
from tests.ports import held_ports
from tests.waiting import eventually

ROUTE = "bench"
PACKAGE = 1000  # messages a request
LOOK = 0.5  # seconds from sending to the first question
SANDBOX = ("--final-least", "0.05", "--final-most", "0.3")
AS_SHIPPED = len(process_set.WORKERS)  # worker processes
LOOKS = 30  # times as long as a look took, until the next
STUCK = 120.0  # seconds without a single message ending
COMMAND = 600.0  # seconds that a command may take, such as the books of a large ledger


@dataclass(frozen=True)
class Installation:
    """Empty servers and where they are. Every figure is taken on one of its own."""

    folder: Path
    addresses: Addresses
    port: int  # of the sandbox
    build: Path = ROOT  # whose processes are measured; the sandbox is always ours

    @property
    def url(self) -> str:
        """Of the sandbox."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        """For the processes."""
        return replace(
            Settings.from_env(),
            database_url=self.addresses.database_url,
            redis_url=self.addresses.redis_url,
            broker_url=self.addresses.broker_url,
            data_dir=self.folder,
            routes=self.folder / "routes.toml",
            log_level="WARNING",
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of every process."""
        return {**child_environment(self.settings), **import_path(self.build)}

    @property
    def conninfo(self) -> str:
        """The database's address for psycopg."""
        return self.addresses.database_url.replace("postgresql+psycopg", "postgresql")

    def postgres(self) -> "psycopg.Connection[Any]":
        """A connection that commits each statement; a context manager."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def redis(self) -> "redis.Redis":
        """A client of the intake's database."""
        return redis.Redis.from_url(self.addresses.redis_url)

    def write_routes(self, port: int = 0) -> None:
        """One route to the sandbox, or to whatever listens on another port."""
        route: dict[str, str | int] = {
            "provider": "alphasms-xml",
            "key": SANDBOX_KEY,
            "package_items": PACKAGE,
            "status_items": PACKAGE,
            "url": f"http://127.0.0.1:{port or self.port}",
            "parallel": 4,
            "poll_first": f"{round(LOOK * 1000)}ms",
            "poll_max": "5s",
        }
        self.settings.routes.write_text(routes_file({ROUTE: route}), "utf-8")

    def worker(self, *arguments: str) -> str:
        """What a command of the build printed. Raises RuntimeError, with its last words, if it failed."""
        done = subprocess.run(
            (sys.executable, "-m", "bulk_dispatch", *arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND,
        )
        if done.returncode:
            said = f"{done.stderr}{done.stdout}"[-500:]
            raise RuntimeError(f"worker {' '.join(arguments)} ended with code {done.returncode}: {said}")
        return done.stdout

    def migrate(self) -> None:
        """Lay the ledger out."""
        self.worker("db", "upgrade")

    def taken(self) -> int:
        """How many messages the sandbox has taken."""
        return self._counts()["taken"]

    def check(self, count: int) -> None:
        """The sandbox took so many, each once: a figure of anything else would be worth nothing."""
        counts = self._counts()
        if (counts["taken"], counts["twice"]) != (count, 0):
            raise RuntimeError(f"{counts['taken']} of {count} were taken, {counts['twice']} of them twice")

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = json.loads(_fetched(f"{self.url}/sandbox/counts"))
        return counts


@contextmanager
def installation(parent: Path, build: Path = ROOT) -> Iterator[Installation]:
    """New servers and a new sandbox for the processes of a build; the ledger is not laid out yet."""
    with ExitStack() as stack:
        folder, addresses = stack.enter_context(throwaway(parent, Durability.KILL))
        [port] = stack.enter_context(held_ports(1))
        place = Installation(folder, addresses, port, build)
        place.write_routes()
        children = [process_set.sandbox(replace(place, build=ROOT).environment, port, *SANDBOX)]
        log = stack.enter_context((folder / "sandbox.log").open("w", encoding="utf-8"))
        stack.enter_context(Supervisor(children, lambda line: print(line, file=log, flush=True)))
        eventually(lambda: _answers(f"{place.url}/sandbox/health"))
        yield place


@contextmanager
def working(place: Installation, children: Sequence[Child]) -> Iterator[Supervisor]:
    """Processes that run until the end; their words are kept beside the data."""
    with (
        (place.folder / "processes.log").open("a", encoding="utf-8") as log,
        Supervisor(children, lambda line: print(line, file=log, flush=True)) as supervisor,
    ):
        yield supervisor


def workers(place: Installation, processes: int = AS_SHIPPED) -> list[Child]:
    """Celery workers and beat: three processes as `worker up` runs them, or all queues in one, or the lanes
    in one and polling in another; beyond three, more for the bulk lane and for polling by turns."""
    children = process_set.workers(place.environment)
    urgent, bulk, poll, beat = children
    if processes == 1:
        return [_reading(bulk, "urgent,bulk,poll,celery", 8), beat]
    if processes == 2:
        return [_reading(bulk, "urgent,bulk,celery", 6), poll, beat]
    more = [_named((bulk, poll)[number % 2], number) for number in range(processes - 3)]
    return [urgent, bulk, poll, *more, beat]


def _reading(child: Child, queues: str, threads: int) -> Child:
    command = list(child.command)
    command[command.index("-Q") + 1] = queues
    command[command.index("--concurrency") + 1] = str(threads)
    return replace(child, command=tuple(command))


def _named(child: Child, number: int) -> Child:
    name = f"{child.name}{number + 2}"
    command = tuple(part.replace(f"{child.name}@", f"{name}@") for part in child.command)
    return replace(child, name=name, command=command)


def await_workers(place: Installation) -> None:
    """Until every queue has a consumer."""
    app = celery_app(place.addresses.broker_url)
    eventually(lambda: set().union(*consumers(app, patience=0.5).values()).issuperset(QUEUES))


# -- work


def write_campaign(path: Path, count: int, name: str = "campaign", first: int = 0) -> Path:
    """A CSV file as an application would write it. Each message has its own text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("client_id", "recipient", "sender", "text", "campaign"))
        for number in range(first, first + count):
            rows.writerow((
                f"{name}-{number}", f"+38093{number % 10**7:07d}", "Shop",
                f"Your order {number} is ready. See you!", name,
            ))  # fmt: skip
    return path


@contextmanager
def sending(place: Installation, file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`worker send` at its work; at the end it has done it."""
    command = (sys.executable, "-m", "bulk_dispatch", "send", str(file), "--json")
    log = place.folder / "send.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=place.environment, cwd=place.folder, stdout=said, stderr=said) as it,
    ):
        try:
            yield it
            if it.wait() != 0:
                raise RuntimeError(f"worker send ended with code {it.returncode}: {log.read_text()[-500:]}")
        finally:
            it.terminate()


def await_ended(look: Callable[[], int], count: int, tell: Callable[[int], None] = lambda _: None) -> None:
    """Until `look` counts so many. To look must not be the work: while one takes less than a second, they
    take a thirtieth of a core at most."""
    best, moved_at = -1, time.monotonic()
    while True:
        began = time.monotonic()
        ended = look()
        tell(ended)
        if ended >= count:
            return
        if ended > best:
            best, moved_at = ended, time.monotonic()
        if time.monotonic() - moved_at > STUCK:
            raise RuntimeError(f"{ended} of {count} ended, and none more in {STUCK:.0f} seconds")
        time.sleep(min(max(0.25, LOOKS * (time.monotonic() - began)), STUCK / 4))


# -- what it costs


def spent(process: int) -> float:
    """Seconds of processor time so far, of a process and its children that have ended; 0 for one that has
    gone: then its parent has them."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def spent_by_ended_children() -> float:
    """Seconds of processor time of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system


def peak_mb(process: int) -> float:
    """The most memory a process ever held, in MB of 10^6 bytes; 0 for one that has just ended."""
    lines = Path(f"/proc/{process}/status").read_text("ascii", "replace").splitlines()
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def servers(place: Installation) -> dict[str, list[int]]:
    """The processes of the embedded servers."""
    pair = Pair.of(place.folder, Durability.KILL, lambda _: None)
    found = {"redis": pair.redis.pid_file, "postgres": pair.postgres.pid_file}
    first = {name: psutil.Process(int(file.read_text().split()[0])) for name, file in found.items()}
    return {
        name: [process.pid, *(child.pid for child in process.children(recursive=True))]
        for name, process in first.items()
    }


def _answers(url: str) -> bool:
    try:
        return bool(_fetched(url))
    except OSError:  # not there yet
        return False


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body
