"""`worker up`: the whole thing on one machine, for a developer."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bulk_dispatch.cli.context import at, opened_ledger
from bulk_dispatch.cli.output import complain, err, out
from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.config.settings import Settings, SettingsError, child_environment
from bulk_dispatch.ledger.migrate import upgraded
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.instance import AlreadyRunningError, only_one
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.local.servers.shared import embedded, kept_running
from bulk_dispatch.routing import build_routes
from bulk_dispatch.sandbox.routes import sandbox_pushes, write_sandbox_routes


def up(
    sandbox_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the sandbox; another if it is taken.")
    ] = 8800,
    flower_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of Flower; another if it is taken.")
    ] = 5555,
    web_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for receipts; another if it is taken.")
    ] = 8900,
) -> None:
    """Run everything: servers, workers, beat, Flower and the sandbox, until Ctrl-C.

    Without a routes file (routes.toml, or WORKER_ROUTES) messages go to the sandbox.
    """
    settings = Settings.from_env()
    if not settings.embedded:
        raise SettingsError(
            "WORKER_DATABASE_URL is set, and `worker up` serves embedded servers only; unset it, or start "
            "Celery yourself (docker-compose.yml shows how)"
        )
    wanted = process_set.free_ports(sandbox_port, flower_port, web_port)
    ports = dict(zip(("sandbox", "flower", "web"), wanted, strict=True))
    try:
        with only_one(settings.data_dir, ports):
            _run(settings, ports)
    except AlreadyRunningError as other:
        complain(
            f"{other}: the sandbox is on port {other.info.get('sandbox')}, "
            f"Flower on http://127.0.0.1:{other.info.get('flower')}"
        )
        raise typer.Exit(1) from None


def _run(settings: Settings, ports: dict[str, int]) -> None:
    write_sandbox_routes(settings.data_dir, f"http://127.0.0.1:{ports['sandbox']}")
    with (
        embedded(settings.data_dir, notify=_say) as addresses,
        kept_running(settings.data_dir, notify=_say),
    ):
        whole = at(settings, addresses)
        build_routes(read_routes(whole.routes))  # before anything is started: no worker could do without
        with opened_ledger(whole) as ledger:
            for sentence in upgraded(ledger).told:
                _say(sentence)
        env = child_environment(whole)
        journal = settings.data_dir.absolute() / "sandbox.journal"
        door = f"http://127.0.0.1:{ports['web']}"
        children = [
            process_set.sandbox(env, ports["sandbox"], "--journal", str(journal), *sandbox_pushes(door)),
            process_set.web(env, ports["web"]),
            *process_set.workers(env),
            process_set.flower(env, ports["flower"]),
        ]
        _tell(whole, ports, _write_environment(whole))
        with Supervisor(children, _say, colour=err.is_terminal, afterwards=_afterwards(whole)) as supervisor:
            supervisor.wait()
            _say("stopping: finishing what is in flight")
    _say("stopped; nothing is running")


def _afterwards(settings: Settings) -> tuple[str, ...]:
    """If we are killed, our guard stops the servers too, unless somebody else uses them."""
    return (sys.executable, "-m", "bulk_dispatch.local.servers.cleanup", str(settings.data_dir.absolute()))


def _write_environment(settings: Settings) -> Path:
    """A file that a shell can source, so that an application finds this installation."""
    path = settings.data_dir.absolute() / "env.sh"
    wanted = ("WORKER_DATABASE_URL", "WORKER_REDIS_URL", "WORKER_BROKER_URL", "WORKER_ROUTES")
    values = settings.environment()
    path.write_text("".join(f"export {name}={shlex.quote(values[name])}\n" for name in wanted), "utf-8")
    path.chmod(0o600)
    return path


def _tell(settings: Settings, ports: dict[str, int], env_file: Path) -> None:
    out.print("Everything is starting. In another terminal:", style="bold")
    for what, how in (
        ("send one", "worker send --to +380931110001 --sender Shop --text Hello"),
        ("the books", "worker books"),
        ("for your app", f"source {env_file}"),
        ("Flower", f"http://127.0.0.1:{ports['flower']}"),
        ("the sandbox", f"http://127.0.0.1:{ports['sandbox']}/sandbox/counts"),
        ("receipts", f"http://127.0.0.1:{ports['web']}/receipts/ROUTE/SECRET"),
        ("routes", str(settings.routes)),
    ):
        out.print(f"  {what:<14}{how}", markup=False, soft_wrap=True)
    out.print("Ctrl-C stops it.\n", style="dim")


def _say(route: str) -> None:
    sys.stderr.write(route + "\n")
    sys.stderr.flush()
