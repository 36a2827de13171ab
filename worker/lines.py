"""Lines: routes made ready, each with the dialect that speaks for it, and the rule of who may carry what."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from worker.providers import PROVIDERS, dialect
from worker.providers.contract import Account, Dialect
from worker.settings import Route, SettingsError
from worker.sms.backoff import Backoff
from worker.sms.doubt import Doubt
from worker.sms.message import Message, MessageError


@dataclass(frozen=True, slots=True)
class Line:
    """A route made ready: its settings and its dialect."""

    route: Route
    dialect: Dialect

    @property
    def doubt(self) -> Doubt:
        """How doubt is settled here: as the route says, else as the provider allows."""
        return Doubt(self.route.in_doubt) if self.route.in_doubt else self.dialect.doubt

    def policy(self, own: Doubt | None) -> Doubt:
        """How doubt about one message is settled: by asking where that is the way; else as the message says
        of its own, else as the route says."""
        return self.doubt if own is None or self.doubt is Doubt.ASK else own

    def retry_delay(self, tries: int, chance: float) -> timedelta:
        """The wait of a message after so many tries."""
        return Backoff(self.route.retry_first, self.route.retry_max).delay(tries, chance)

    def pause(self, failures: int, chance: float) -> timedelta:
        """The wait of the route after so many failures in a row."""
        return Backoff(self.route.pause_first, self.route.pause_max).delay(failures, chance)


def make_ready(routes: Mapping[str, Route]) -> dict[str, Line]:
    """Every route with its dialect. Raises SettingsError for what a dialect does not know."""
    return {name: line(route) for name, route in routes.items()}


def accept(message: Message, lines: Mapping[str, Line]) -> Message:
    """The message with its route filled in. Raises MessageError if no route can carry it."""
    name = message.route or (next(iter(lines)) if len(lines) == 1 else "")
    if name not in lines:
        raise MessageError("route", message.route, f"must be one of {', '.join(lines)}")
    lines[name].dialect.check(message)
    return message if name == message.route else replace(message, route=name)


def line(route: Route) -> Line:
    """Make a route ready. Raises SettingsError for a provider or a value that its dialect does not know."""
    if route.provider not in PROVIDERS:
        raise SettingsError(
            f"routes.{route.name}.provider must be one of {', '.join(PROVIDERS)}, got {route.provider!r}"
        )
    account = Account(
        url=route.url.rstrip("/"),
        key=route.key,
        login=route.login,
        password=route.password,
        token=route.token,
        options={
            "mode": route.mode,
            "package_items": str(route.package_items),
            "package_bytes": str(route.package_bytes),
            "status_items": str(route.status_items),
            "zone": route.zone,
        },
    )
    try:
        return Line(route, dialect(route.provider, account))
    except ValueError as problem:
        raise SettingsError(f"routes.{route.name}: {problem}") from None
