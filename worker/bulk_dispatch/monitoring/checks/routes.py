"""Checks of the routes: the file, the time that tasks may take, and what each route is doing."""

from collections.abc import Iterator
from datetime import timedelta

from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.doubt_policy import SETTLING, DoubtPolicy
from bulk_dispatch.domain.money import money
from bulk_dispatch.domain.question import Question
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.in_doubt import elsewhere, overdue
from bulk_dispatch.ledger.queries import RouteRow, route_rows
from bulk_dispatch.ledger.questions import RefusedQuestion, all_refused
from bulk_dispatch.messaging.celery_app import VISIBILITY
from bulk_dispatch.monitoring.checks.result import CheckResult
from bulk_dispatch.providers.interface import Clocks
from bulk_dispatch.routing import Route, build_routes
from bulk_dispatch.stages.account import is_low, is_off
from bulk_dispatch.stages.time_limits import max_task_duration


def check_routes_file(settings: Settings) -> Iterator[CheckResult]:
    """The routes file is there and can be read. Raises SettingsError."""
    routes = build_routes(read_routes(settings.routes))
    yield CheckResult("routes", "ok", f"{', '.join(routes)} ({settings.routes})")


def check_time_limits(settings: Settings) -> Iterator[CheckResult]:
    """A task that outlives the visibility time-out is handed to a second worker too."""
    longest = max((max_task_duration(route), name) for name, route in read_routes(settings.routes).items())
    if longest[0] >= timedelta(seconds=VISIBILITY):
        yield CheckResult(
            "time limits",
            "bad",
            f"a task of {longest[1]} may take {longest[0]}; the visibility time-out is {VISIBILITY} s",
        )
    else:
        seen = f"no task takes longer than {longest[0]}; the visibility time-out is {VISIBILITY} s"
        yield CheckResult("time limits", "ok", seen)


def check_route_states(settings: Settings, ledger: Ledger) -> Iterator[CheckResult]:
    """What each route is doing, what is in doubt there, and what its provider tells and refuses to tell."""
    routes = build_routes(read_routes(settings.routes))
    accounts = {name: route.config.account_ids for name, route in routes.items() if route.doubt in SETTLING}
    with ledger.begin() as connection:
        rows = route_rows(connection)
        strange = elsewhere(connection, accounts)
        old = overdue(connection, {name: route.config.in_doubt_max for name, route in routes.items()})
        refused = all_refused(connection)
    for row in rows:
        if row.name in routes:
            yield from _state(row)
            yield from _doubt(row, routes[row.name], old.get(row.name, 0), strange.get(row.name, 0))
            yield from _account(row, routes[row.name])
        elif row.unfinished:
            yield CheckResult(
                "routes",
                "bad",
                f"{row.name} is not in the routes file: {row.unfinished} messages are stranded",
            )
    yield from (_refused(name, one) for name, one in refused if name in routes)


def _state(row: RouteRow) -> Iterator[CheckResult]:
    """A pause ends by itself; a stop waits for a person, and its messages with it."""
    if row.state != "active":
        severity = "warning" if row.state == "paused" else "bad"
        yield CheckResult("routes", severity, f"{row.name} is {row.state}: {row.reason}")


def _doubt(row: RouteRow, route: Route, old: int, strange: int) -> Iterator[CheckResult]:
    """What is being settled is as it should be; what waits for a person is told."""
    held = row.in_doubt if route.doubt is DoubtPolicy.HOLD else 0
    if held or old:
        since = f", {old} of them for longer than {route.config.in_doubt_max}" if old else ""
        seen = f"{row.in_doubt} messages of {row.name} are in doubt{since}: see `worker resolve`"
        yield CheckResult("doubt", "warning", seen)
    elif row.in_doubt:
        yield CheckResult(
            "doubt", "ok", f"{row.in_doubt} messages of {row.name} are in doubt, and being settled"
        )
    if strange:
        yield CheckResult(
            "doubt",
            "bad",
            f"{strange} of them left {row.name} by another account, where nobody asks any more: give some "
            "route of that name the account again, or settle them with `worker resolve`",
        )


def _account(row: RouteRow, route: Route) -> Iterator[CheckResult]:
    """What the route's provider told, when it was last asked."""
    if row.balance is not None and is_low(route, row.balance):
        seen = f"{money(row.balance)} {row.currency or ''}".strip()
        least = route.config.balance_warn_below
        yield CheckResult(
            "balance", "warning", f"{seen} are left at {row.name}, below its balance_warn_below of {least}"
        )
    if row.clock_skew is not None and isinstance(route.dialect, Clocks) and is_off(row.clock_skew):
        way = "ahead of" if row.clock_skew > timedelta(0) else "behind"
        off = abs(row.clock_skew)
        yield CheckResult(
            "their clock",
            "warning",
            f"that of {row.name} is {off} {way} ours: `zone` is wrong, or a clock. "
            "Nothing is given to them before its time",
        )


def _refused(route: str, one: RefusedQuestion) -> CheckResult:
    """A question that is refused costs what only its answer could have told; sending goes on."""
    seen = (
        f"{route} does not answer ({one.question}) since {one.refused_at:%Y-%m-%d %H:%M:%S} UTC: "
        f"{one.reason}; to be asked again from {one.ask_at:%H:%M:%S}. "
        f"It goes on sending; meanwhile {_COSTS[one.question]}"
    )
    return CheckResult("questions", "warning", seen)


_COSTS = {
    Question.STATUS: "what no receipt tells of ends unconfirmed at its horizon, and doubt stays doubt",
    Question.JOB: "the messages of a job are asked for one by one",
    Question.CANCEL: "nothing is withdrawn there",
    Question.BALANCE: "nobody watches its money",
    Question.CLOCK: "nothing is given to it before its time",
    Question.PRICES: "it tells no prices",
    Question.SCHEDULED: "it does not list what it holds",
    Question.STOP_LIST: "its stop list cannot be pulled",
}
"""What it costs that a question is not answered."""
