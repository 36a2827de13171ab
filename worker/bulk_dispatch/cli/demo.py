"""`worker demo`: ten thousand messages through the real thing, and the books at the end."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, TextIO
from urllib.request import urlopen

import typer
from rich.live import Live
from rich.table import Table

from bulk_dispatch.cli.books import print_books, read_books
from bulk_dispatch.cli.context import at, opened_intake, opened_ledger
from bulk_dispatch.cli.output import Json, complain, emit, err, out
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.config.settings import Settings, child_environment
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import upgrade
from bulk_dispatch.ledger.queries import by_status
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.local.servers.ephemeral import throwaway
from bulk_dispatch.messaging.celery_app import QUEUES, celery_app
from bulk_dispatch.messaging.inspection import consumers
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.sandbox.routes import sandbox_pushes, write_sandbox_routes

READY = timedelta(seconds=60)  # for the workers to come up
STUCK = timedelta(seconds=60)  # without a single message moving
SANDBOX = ("--final-least", "0.05", "--final-most", "0.3", "--job-seconds", "0.2")
NEXT = (
    "worker up                 run everything, and watch it in Flower",
    "worker send --help        your own messages, from options, CSV or JSON lines",
    "worker sandbox --help     a provider that misbehaves on request",
)


class DemoError(RuntimeError):
    """The demo did not get there; the sentence says how far it came."""


def demo(
    messages: Annotated[int, typer.Option(min=1, help="How many messages.")] = 10_000,
    provider: Annotated[
        str, typer.Option(help="Which dialect to speak, on every route of the sandbox that has it.")
    ] = "alphasms-xml",
    as_json: Json = False,
) -> None:
    """Send messages through real servers, Celery workers and beat to the sandbox, and show the books.

    Everything runs in a folder of its own and is gone afterwards; nothing leaves this machine.
    """
    if provider not in PROVIDERS:
        raise typer.BadParameter(f"--provider is one of {', '.join(PROVIDERS)}")
    settings = Settings.from_env()
    log_path = settings.data_dir / "demo.log"
    with throwaway(settings.data_dir) as (folder, addresses), log_path.open("w", encoding="utf-8") as log:
        whole = at(replace(settings, data_dir=folder, routes=folder / "routes.toml"), addresses)
        try:
            result = _run(whole, messages, provider, log)
        except DemoError as problem:
            complain(f"{problem}; what the processes said is in {log_path}")
            raise typer.Exit(1) from None
    if as_json:
        emit(result)
    else:
        _show(result)
    if not result["exactly_once"] or not result["books"]["balanced"]:
        raise typer.Exit(1)


def _run(settings: Settings, messages: int, provider: str, log: TextIO) -> dict[str, Any]:
    port, door = process_set.free_ports(0, 0)
    url = f"http://127.0.0.1:{port}"
    file = write_sandbox_routes(settings.data_dir, url, looks="500ms")
    routes = [route.name for route in read_routes(file).values() if route.provider == provider]
    env = child_environment(replace(settings, log_level="WARNING"))
    pushes = sandbox_pushes(f"http://127.0.0.1:{door}")
    children = [
        process_set.sandbox(env, port, *SANDBOX, *pushes),
        process_set.web(env, door),
        *process_set.workers(env),
    ]
    with opened_ledger(settings) as ledger, opened_intake(settings) as intake:
        upgrade(ledger)
        sweep = (
            sys.executable,
            "-m",
            "bulk_dispatch.local.servers.cleanup",
            str(settings.data_dir.parent.absolute()),
        )
        with Supervisor(children, lambda line: print(line, file=log, flush=True), afterwards=sweep):
            with err.status("starting workers, beat and the sandbox…"):
                _await_workers(settings, f"{url}/sandbox/health", f"http://127.0.0.1:{door}/health")
            started = time.monotonic()
            _enqueue(settings, messages, routes)
            _watch(ledger, intake, messages)
            seconds = time.monotonic() - started
            counts = _ask(f"{url}/sandbox/counts")
        return _result(messages, read_books(ledger, intake), seconds, counts)


def _result(
    messages: int, books: dict[str, Any], seconds: float, counts: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "messages": messages,
        "books": books,
        "seconds": round(seconds, 2),
        "per_second": round(messages / seconds),
        "sandbox": {"taken": counts["taken"], "twice": counts["twice"], "requests": counts["requests"]},
        "exactly_once": counts["taken"] == messages and counts["twice"] == 0,
    }


def _await_workers(settings: Settings, *healthy: str) -> None:
    """Until every queue has a consumer, and the sandbox and the door for receipts answer."""
    app = celery_app(settings.broker_url)
    deadline = time.monotonic() + READY.total_seconds()
    while time.monotonic() < deadline:
        served = set().union(*consumers(app, patience=0.5).values())
        if served.issuperset(QUEUES) and all(map(_answers, healthy)):
            return
    raise DemoError(f"the workers did not come up within {READY.seconds} seconds")


def _answers(url: str) -> bool:
    try:
        return bool(_ask(url))
    except OSError:  # not there yet
        return False


def _ask(url: str) -> Any:
    with urlopen(url, timeout=30) as answer:  # noqa: S310 - our own sandbox, on the loopback address
        return json.load(answer)


def _enqueue(settings: Settings, messages: int, routes: Sequence[str]) -> None:
    dispatcher = Dispatcher(settings)
    try:
        dispatcher.enqueue_many(_made_up(messages, routes))
    finally:
        dispatcher.close()


def _made_up(messages: int, routes: Sequence[str]) -> Iterator[Message]:
    """Made-up people, over the routes in turn."""
    for number in range(messages):
        yield Message(
            client_id=f"demo-{number}",
            recipient=f"+38093{number:07d}",
            sender="Demo",
            text=f"Your order {number} is ready. See you!",
            route=routes[number % len(routes)],
            campaign="demo",
        )


@dataclass(slots=True)
class _Progress:
    """What has moved, and since when nothing has."""

    counts: dict[Status, int]
    moved_at: float

    def see(self, counts: dict[Status, int]) -> None:
        if counts != self.counts:
            self.counts, self.moved_at = counts, time.monotonic()

    @property
    def final(self) -> int:
        return sum(count for status, count in self.counts.items() if status in FINAL)


def _watch(ledger: Ledger, intake: Intake, messages: int) -> None:
    """Show the counts by state until every message is final. Raises DemoError if nothing moves any more."""
    progress = _Progress({}, time.monotonic())
    with Live(console=err, auto_refresh=False, transient=True) as live:
        while True:
            asked = time.monotonic()
            with ledger.begin() as connection:
                progress.see(by_status(connection))
            if err.is_terminal:
                live.update(_picture(progress.counts, sum(intake.waiting().values()), messages), refresh=True)
            if progress.final >= messages:
                return
            if time.monotonic() - progress.moved_at > STUCK.total_seconds():
                counts = ", ".join(f"{status} {count}" for status, count in progress.counts.items())
                raise DemoError(
                    f"nothing has moved for {STUCK.seconds} seconds: {counts or 'nothing arrived'}"
                )
            time.sleep(max(0.1, 4 * (time.monotonic() - asked)))  # watching must not be the work


def _picture(counts: Mapping[Status, int], waiting: int, messages: int) -> Table:
    picture = Table.grid(padding=(0, 2))
    rows = [("in Redis", waiting), *((status.value, counts.get(status, 0)) for status in Status)]
    for name, count in rows:
        if count:
            picture.add_row(name, f"{count:>9,}", "█" * max(1, round(40 * count / messages)))
    return picture


def _show(result: dict[str, Any]) -> None:
    print_books(result["books"])
    taken, twice = result["sandbox"]["taken"], result["sandbox"]["twice"]
    out.print(
        f"{result['messages']:,} messages in {result['seconds']} s: {result['per_second']:,} a second. "
        f"The sandbox took {taken:,}, and {twice} of them twice."
    )
    out.print("\nTry next:", style="bold")
    for line in NEXT:
        out.print(f"  {line}", markup=False)
