"""What providers tell of our accounts: `worker routes balance`, `prices` and `scheduled`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import no_such
from bulk_dispatch.cli.context import opened_runtime, servers
from bulk_dispatch.cli.output import Json, complain, emit, out, table
from bulk_dispatch.domain.money import money
from bulk_dispatch.domain.numbers import phone_number
from bulk_dispatch.domain.validation import mask
from bulk_dispatch.providers.account import Price, Scheduled
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.account import BalanceReading, ask_balance, ask_prices, ask_scheduled, is_low

SHOWN = 50  # messages listed, unless --limit says otherwise

Name = Annotated[str, typer.Argument(help="A route of the routes file.")]


def known_route(runtime: Runtime, name: str) -> Route:
    """The route of this name, or the end of the command."""
    if name not in runtime.routes:
        raise no_such("route", name, list(runtime.routes))
    return runtime.routes[name]


def refuse(name: str, problem: Failure | str) -> typer.Exit:
    """The end of a command whose question to a provider came to nothing."""
    complain(f"{name}: {problem}")
    return typer.Exit(1)


# -- balance -----------------------------------------------------------------------------------------


def balance(
    name: Annotated[str, typer.Argument(help="A route of the routes file. Default: all.")] = "",
    as_json: Json = False,
) -> None:
    """Ask the providers how much money is left. Exit code 1 if one that can be asked gives no answer."""
    with servers() as settings, opened_runtime(settings) as runtime:
        routes = [known_route(runtime, name)] if name else list(runtime.routes.values())
        told = [_balance(route, ask_balance(runtime, route)) for route in routes]
    if as_json:
        emit({"routes": told})
    else:
        heads = ("route", "#money left", "when (UTC)", "#warn below", "")
        table("Balances", heads, [_balance_cells(one) for one in told])
    if any(one["problem"] for one in told):
        raise typer.Exit(1)


def _balance(route: Route, told: BalanceReading | Failure | None) -> dict[str, Any]:
    found = told if isinstance(told, BalanceReading) else None
    return {
        "route": route.config.name,
        "can_be_asked": told is not None,
        "balance": money(found.balance.amount) if found else None,
        "currency": found.balance.currency or None if found else None,
        "balance_at": found.at if found else None,
        "balance_warn_below": route.config.balance_warn_below,
        "low": is_low(route, found.balance.amount) if found else None,
        "problem": str(told) if isinstance(told, Failure) else None,
    }


def _balance_cells(one: Mapping[str, Any]) -> tuple[object, ...]:
    at: datetime | None = one["balance_at"]
    remark = "" if one["can_be_asked"] else "cannot be asked"
    return (
        one["route"],
        " ".join(filter(None, (one["balance"], one["currency"]))),
        f"{at:%Y-%m-%d %H:%M}" if at else None,
        one["balance_warn_below"] or None,
        one["problem"] or ("LOW" if one["low"] else remark),
    )


# -- prices ------------------------------------------------------------------------------------------


def prices(
    name: Name,
    numbers: Annotated[list[str], typer.Argument(help="International numbers.")],
    as_json: Json = False,
) -> None:
    """Ask what one segment to each of these numbers costs."""
    recipients = list(dict.fromkeys(phone_number(number) for number in numbers))
    with servers() as settings, opened_runtime(settings) as runtime:
        found = ask_prices(runtime, known_route(runtime, name), recipients)
    if found is None:
        raise refuse(name, "its provider tells no prices")
    if isinstance(found, Failure):
        raise refuse(name, found)
    rows = [(mask(recipient), found.get(recipient)) for recipient in recipients]
    if as_json:
        emit({"route": name, "prices": [_price(number, price) for number, price in rows]})
    else:
        cells = [(number, *_price_cells(price)) for number, price in rows]
        table(f"A segment on {name}", ("recipient", "#price", "currency", ""), cells)


def _price(number: str, price: Price | None) -> dict[str, Any]:
    return {
        "recipient": number,
        "price": money(price.amount) if price else None,
        "currency": price.currency or None if price else None,
    }


def _price_cells(price: Price | None) -> tuple[object, ...]:
    if price is None:
        return (None, None, "they did not say")
    return (money(price.amount), price.currency, None if price.amount else "they do not send there")


# -- scheduled ---------------------------------------------------------------------------------------


def scheduled(
    name: Name,
    limit: Annotated[
        int, typer.Option(min=0, help="Messages to list, the first they name; 0 for all.")
    ] = SHOWN,
    as_json: Json = False,
) -> None:
    """List the messages that a provider holds until their time."""
    with servers() as settings, opened_runtime(settings) as runtime:
        pages = ask_scheduled(runtime, known_route(runtime, name))
        if pages is None:
            raise refuse(name, "its provider does not list what it holds")
        waiting, more, problem = _first(pages, limit)
    if as_json:
        emit({"route": name, "scheduled": [_scheduled(one) for one in waiting], "more": more})
    elif waiting:
        rows = [tuple(_scheduled(one).values()) for one in waiting]
        table(f"Held by the provider of {name}", ("their id", "recipient", "leaves at (UTC)"), rows)
    elif not problem:
        out.print("They hold nothing.")
    if more and not as_json:
        out.print("and more; --limit 0 lists all", style="dim")
    if problem:
        raise refuse(name, problem)


def _first(
    pages: Iterable[Sequence[Scheduled] | Failure], limit: int
) -> tuple[list[Scheduled], bool, Failure | None]:
    """The first messages of a list, whether there are more, and what ended it before its end."""
    waiting: list[Scheduled] = []
    for page in pages:
        if isinstance(page, Failure):
            return waiting, True, page
        waiting += page
        if limit and len(waiting) > limit:
            return waiting[:limit], True, None
    return waiting, False, None


def _scheduled(one: Scheduled) -> dict[str, Any]:
    return {
        "provider_message_id": one.provider_message_id,
        "recipient": mask(one.recipient),
        "send_at": f"{one.send_at:%Y-%m-%d %H:%M:%S}" if one.send_at else None,
    }
