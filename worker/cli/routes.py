"""`worker routes`: what each route is doing, and its brake."""

from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.output import Json, complain, emit, out, table
from worker.cli.session import migrated_ledger, servers
from worker.ledger.governor import open_route, register_routes, stop_route
from worker.ledger.queries import route_rows
from worker.lines import make_ready
from worker.settings import Settings, names_only, read_routes

app = typer.Typer(help="What each route is doing; pause and resume.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A route of the routes file.")]


@app.command("list")
def list_routes(as_json: Json = False) -> None:
    """Every route: its state, what waits for it, what is on the wire, what is in doubt."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        lines = make_ready(read_routes(settings.routes, secret=names_only))
        with ledger.begin() as connection:
            register_routes(connection, lines)
            rows = [row for row in route_rows(connection) if row.name in lines]
    if as_json:
        plain = [
            {**asdict(row), "provider": lines[row.name].route.provider, "mode": lines[row.name].route.mode}
            for row in rows
        ]
        emit({"routes": plain})
        return
    table(
        "Routes",
        ("route", "provider", "mode", "state", "#queued", "#on the wire", "#in doubt", "why"),
        [
            (r.name, lines[r.name].route.provider, lines[r.name].route.mode, r.state, f"{r.queued:,}",
             f"{r.on_the_wire:,}", f"{r.in_doubt:,}", r.why)
            for r in rows
        ],
    )  # fmt: skip


@app.command()
def pause(
    name: Name,
    why: Annotated[str, typer.Option(help="For whoever looks next.")] = "paused by hand",
    as_json: Json = False,
) -> None:
    """Send nothing more on a route until it is resumed. What is on the wire is finished."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        _known(settings, name)
        with ledger.begin() as connection:
            register_routes(connection, [name])
            stop_route(connection, name, why)
    _done(name, "stopped", as_json=as_json)


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Let a paused or stopped route send again."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        _known(settings, name)
        with ledger.begin() as connection:
            register_routes(connection, [name])
            open_route(connection, name)
    _done(name, "open", as_json=as_json)


def _known(settings: Settings, name: str) -> None:
    names = read_routes(settings.routes, secret=names_only)
    if name not in names:
        complain(f"no route {name!r}; the routes are {', '.join(names)}")
        raise typer.Exit(2)


def _done(name: str, state: str, *, as_json: bool) -> None:
    if as_json:
        emit({"route": name, "state": state})
    else:
        out.print(f"{name} is {state}.", markup=False)
