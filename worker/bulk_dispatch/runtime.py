"""Runtime: everything a stage needs, in one frozen value. The one place where things meet."""

import math
import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from bulk_dispatch.config.routes_file import RouteConfig, read_routes
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.http_client import KEEPALIVE, Transport, steady
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.leases import name_account
from bulk_dispatch.ledger.migrate import check_migrated
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Reply, Request
from bulk_dispatch.routing import Route, build_routes


class Notify(Protocol):
    """Says that there is work, or will be `after` so many seconds. May be heard twice, or not at all."""

    def __call__(self, stage: str, name: str, after: float = 0.0) -> None: ...


def no_notify(stage: str, name: str, after: float = 0.0) -> None:
    """Notifies nobody; beat schedules every stage anyway."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The context of every stage, opened once per process."""

    settings: Settings
    ledger: Ledger
    intake: Intake
    transport: Transport
    routes: Mapping[str, Route]
    notify: Notify = no_notify
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = steady
    stopping: Callable[[], bool] = field(default=lambda: False)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        notify: Notify = no_notify,
        stopping: Callable[[], bool] = lambda: False,
        or_ahead: bool = False,
        routes: Mapping[str, Route] | None = None,
    ) -> "Runtime":
        """Connect everything and register the routes in the ledger, which must stand where this code expects
        it; with `or_ahead` it may be further. The routes are those of the routes file, or `routes`.

        Raises SettingsError, LedgerError or IntakeError, each one sentence.
        """
        if routes is None:
            routes = build_routes(read_routes(settings.routes))
        with ExitStack() as opened:
            ledger = opened.enter_context(closing(Ledger.connect(settings.database_url)))
            check_migrated(ledger, or_ahead=or_ahead)
            _register(ledger, routes)
            intake = Intake.connect(settings.redis_url)
            opened.pop_all()
        return cls(settings, ledger, intake, Transport(), routes, notify=notify, stopping=stopping)

    def knowing(self, routes: Mapping[str, Route]) -> "Runtime":
        """The same with other routes, which it registers. Raises LedgerError."""
        _register(self.ledger, routes)
        return replace(self, routes=routes)

    def close(self) -> None:
        """Give everything back."""
        self.transport.close()
        self.intake.close()
        self.ledger.close()

    def exchange(
        self,
        route: RouteConfig,
        request: Request,
        until: float = math.inf,
        keepalive: timedelta = KEEPALIVE,
    ) -> Reply | Failure:
        """One HTTP exchange with a route's provider, within the route's time-outs, over a connection that has
        been idle for `keepalive` at most; nothing leaves after `until`, an instant of `clock`."""
        return self.transport.exchange(
            request, connect=route.connect_timeout, whole=route.timeout, until=until, keepalive=keepalive
        )


def _register(ledger: Ledger, routes: Mapping[str, Route]) -> None:
    """Make the routes known to the ledger, and the names of their accounts to what is under way there."""
    with ledger.begin() as connection:
        register_routes(connection, routes)
        for name, route in routes.items():
            for before in route.config.account_ids[1:]:
                name_account(connection, name, before, route.config.account_id)
