"""`worker routes`: what each route is doing, and its brake."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import no_such
from bulk_dispatch.cli.context import migrated_ledger, servers
from bulk_dispatch.cli.output import Json, WholeHelp, emit, out, table
from bulk_dispatch.cli.routes_account import Name, balance, prices, scheduled
from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.money import money
from bulk_dispatch.ledger.queries import RouteRow, route_rows
from bulk_dispatch.ledger.questions import RefusedQuestion, all_refused
from bulk_dispatch.ledger.routes import open_route, register_routes, stop_route
from bulk_dispatch.routing import Route, build_routes
from bulk_dispatch.stages.account import is_low

app = typer.Typer(
    help="What each route is doing; pause and resume; what its provider tells of our account.",
    no_args_is_help=True,
    cls=WholeHelp,
)
for ask in (balance, prices, scheduled):
    app.command()(ask)


@app.command("list")
def list_routes(as_json: Json = False) -> None:
    """Every route: its state, what waits for it, what is on the wire or in doubt, and the money last seen.

    A question that its provider refuses (its states, its balance, …) is told with since when and why: it is
    asked ever more rarely, or at once after `routes resume`. Sending goes on.

    Receipts that wait for their message are told, too: many mean that others use the account, or that they
    came by the address of another route.
    """
    with servers() as settings, migrated_ledger(settings) as ledger:
        routes = build_routes(read_routes(settings.routes, secret=names_only))
        with ledger.begin() as connection:
            register_routes(connection, routes)
            rows = [row for row in route_rows(connection) if row.name in routes or row.unfinished]
            refused: dict[str, list[RefusedQuestion]] = defaultdict(list)
            for name, one in all_refused(connection):
                refused[name].append(one)
    if as_json:
        emit({"routes": [_plain(row, routes.get(row.name), refused[row.name]) for row in rows]})
        return
    heads = ("route", "provider", "mode", "state", "#queued", "#on wire", "#doubt", "#balance", "reason")
    table(
        "Routes", heads, [_cells(row, _about(row, routes.get(row.name)), refused[row.name]) for row in rows]
    )


def _plain(row: RouteRow, route: Route | None, refused: Sequence[RefusedQuestion]) -> dict[str, Any]:
    balance = None if row.balance is None else money(row.balance)
    questions = [
        {"question": one.question, "since": one.refused_at, "ask_at": one.ask_at, "reason": one.reason}
        for one in refused
    ]
    return {**asdict(row), "balance": balance, **_about(row, route), "refused_questions": questions}


def _about(row: RouteRow, route: Route | None) -> dict[str, Any]:
    """What the routes file says; a route that is gone from it strands its messages."""
    least = route.config.balance_warn_below if route else 0
    return {
        "provider": route.config.provider if route else None,
        "mode": route.config.mode if route else None,
        "balance_warn_below": least,
        "balance_low": route is not None and row.balance is not None and is_low(route, row.balance),
    }


def _cells(row: RouteRow, about: dict[str, Any], refused: Sequence[RefusedQuestion]) -> tuple[object, ...]:
    counts = (f"{row.queued:,}", f"{row.on_the_wire:,}", f"{row.in_doubt:,}")
    gone = f"not in the routes file: {row.unfinished:,} messages are stranded"
    low = f"the balance is below {about['balance_warn_below']:,}" if about["balance_low"] else None
    kept = f"receipts that wait for their message: {row.receipts_kept:,}" if row.receipts_kept else None
    unanswered = (
        f"does not answer ({one.question}) since {one.refused_at:%Y-%m-%d %H:%M} UTC: {one.reason}"
        for one in refused
    )
    reason = "; ".join(filter(None, (row.reason, low, kept, *unanswered))) if about["provider"] else gone
    left = f"{money(row.balance)} {row.currency or ''}".strip() if row.balance is not None else None
    return (row.name, about["provider"], about["mode"], row.state, *counts, left, reason)


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="For whoever looks next.")] = "paused by hand",
    as_json: Json = False,
) -> None:
    """Send nothing more on a route until it is resumed. What is on the wire is finished."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        _known(settings, name)
        with ledger.begin() as connection:
            register_routes(connection, [name])
            stop_route(connection, name, reason)
    _done(name, "stopped", as_json=as_json)


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Let a paused or stopped route send again, and ask its provider anew what it refused to tell."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        _known(settings, name)
        with ledger.begin() as connection:
            register_routes(connection, [name])
            open_route(connection, name)
    _done(name, "active", as_json=as_json)


def _known(settings: Settings, name: str) -> None:
    names = read_routes(settings.routes, secret=names_only)
    if name not in names:
        raise no_such("route", name, list(names))


def _done(name: str, state: str, *, as_json: bool) -> None:
    if as_json:
        emit({"route": name, "state": state})
    else:
        out.print(
            f"{name} " + ("sends again." if state == "active" else "sends nothing until it is resumed.")
        )
