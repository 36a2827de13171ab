"""`worker routes`: what each route is doing, and its brake."""

from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.output import Json, complain, emit, out, table
from worker.cli.session import migrated_ledger, servers
from worker.ledger.governor import open_route, register_routes, stop_route
from worker.ledger.queries import RouteRow, route_rows
from worker.lines import Line, make_ready
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
            rows = [row for row in route_rows(connection) if row.name in lines or row.unfinished]
    if as_json:
        emit({"routes": [{**asdict(row), **_about(lines.get(row.name))} for row in rows]})
        return
    heads = ("route", "provider", "mode", "state", "#queued", "#on the wire", "#in doubt", "why")
    table("Routes", heads, [_cells(row, _about(lines.get(row.name))) for row in rows])


def _about(line: Line | None) -> dict[str, str | None]:
    """What the routes file says; a route that is gone from it strands its messages."""
    return {"provider": line.route.provider if line else None, "mode": line.route.mode if line else None}


def _cells(row: RouteRow, about: dict[str, str | None]) -> tuple[object, ...]:
    counts = (f"{row.queued:,}", f"{row.on_the_wire:,}", f"{row.in_doubt:,}")
    gone = None if about["provider"] else f"not in the routes file: {row.unfinished:,} messages are stranded"
    return (row.name, about["provider"], about["mode"], row.state, *counts, gone or row.why)


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
        out.print(f"{name} " + ("sends again." if state == "open" else "sends nothing until it is resumed."))
