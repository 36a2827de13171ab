"""Lines: routes made ready, each with the dialect that speaks for it, and the rule of who may carry what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from worker.providers import PROVIDERS, dialect
from worker.providers.contract import Account, Dialect, Respells, Schedules
from worker.settings import Route, SettingsError, route_keys
from worker.sms.backoff import Backoff
from worker.sms.doubt import POLICIES, SETTLING, Doubt
from worker.sms.fields import MessageError
from worker.sms.message import Message


@dataclass(frozen=True, slots=True)
class Line:
    """A route made ready: its settings and its dialect."""

    route: Route
    dialect: Dialect
    respells: Respells | None = field(init=False, repr=False, compare=False)  # the dialect, if it does

    def __post_init__(self) -> None:
        # Once, and not for each message: to ask a dialect what it can do takes longer than to check one.
        able = self.dialect if isinstance(self.dialect, Respells) else None
        object.__setattr__(self, "respells", able)

    @property
    def doubt(self) -> Doubt:
        """How doubt is settled here: as the route says, else as the provider allows."""
        return Doubt(self.route.in_doubt) if self.route.in_doubt else self.dialect.doubt

    def policy(self, own: Doubt | None) -> Doubt:
        """How doubt about one message is settled: by asking where that is the way; else as the message says
        of its own, else as the route says."""
        return self.doubt if own is None or self.doubt in SETTLING else own

    def knows(self, account: str) -> bool:
        """Whether what left by this account can be asked about here; empty: nobody noted by which."""
        return account in ("", self.route.account)

    def retry_delay(self, tries: int, chance: float) -> timedelta:
        """The wait of a message after so many tries."""
        return Backoff(self.route.retry_first, self.route.retry_max).delay(tries, chance)

    def pause(self, failures: int, chance: float) -> timedelta:
        """The wait of the route after so many failures in a row."""
        return Backoff(self.route.pause_first, self.route.pause_max).delay(failures, chance)


def make_ready(routes: Mapping[str, Route]) -> dict[str, Line]:
    """Every route with its dialect. Raises SettingsError for what a dialect does not know."""
    return {name: line(route) for name, route in routes.items()}


def only_route(lines: Mapping[str, Line]) -> str:
    """The route of messages that name none; empty if there are several."""
    return next(iter(lines)) if len(lines) == 1 else ""


def accept(message: Message, lines: Mapping[str, Line]) -> Message:
    """The message as it will be sent, its route filled in. Raises MessageError if no route can carry it."""
    name = message.route or only_route(lines)
    if name not in lines:
        raise MessageError("route", message.route, f"must be one of {', '.join(lines)}")
    chosen = lines[name]
    chosen.dialect.check(message)
    routed = message if name == message.route else message.routed(name)
    return chosen.respells.respelled(routed) if chosen.respells else routed


def line(route: Route) -> Line:
    """Make a route ready. Raises SettingsError for a provider, a key or a value that its dialect does not
    know."""
    if route.provider not in PROVIDERS:
        raise SettingsError(
            f"routes.{route.name}.provider must be one of {', '.join(PROVIDERS)}, got {route.provider!r}"
        )
    own = PROVIDERS[route.provider].options
    for key in route.options.keys() - own.keys():
        known = ", ".join(sorted([*route_keys(), *own]))
        raise SettingsError(f"routes.{route.name}: unknown key {key!r}; known are {known}")
    try:
        speaker = dialect(route.provider, _account(route))
    except ValueError as problem:
        raise SettingsError(f"routes.{route.name}: {problem}") from None
    _check_doubt(route, speaker)
    _check_schedule(route, speaker)
    return Line(route, speaker)


def _account(route: Route) -> Account:
    return Account(
        url=route.url.rstrip("/"),
        key=route.key,
        login=route.login,
        password=route.password,
        token=route.token,
        options={
            "mode": route.mode,
            "package_items": str(route.package_items),
            "package_bytes": str(route.package_bytes),
            "in_flight": str(route.in_flight),
            "status_items": str(route.status_items),
            "zone": route.zone,
            "receipts": "1" if route.receipts else "",
            **route.options,
        },
    )


def _check_doubt(route: Route, speaker: Dialect) -> None:
    """A way to know is the provider's to offer."""
    allowed = tuple(dict.fromkeys((speaker.doubt, *POLICIES)))
    if route.in_doubt and route.in_doubt not in allowed:
        raise SettingsError(
            f"routes.{route.name}.in_doubt must be one of {', '.join(allowed)} with {route.provider}, "
            f"got {route.in_doubt!r}"
        )


def _check_schedule(route: Route, speaker: Dialect) -> None:
    longest = speaker.longest_ahead if isinstance(speaker, Schedules) else timedelta(0)
    if route.schedule_ahead > longest:
        what = f"be at most {longest}" if longest else "be 0s: it holds no messages until their time"
        raise SettingsError(f"routes.{route.name}.schedule_ahead with {route.provider} must {what}")
