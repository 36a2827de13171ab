"""Routes made ready, each with the dialect that speaks for it, and the rule which may carry what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from bulk_dispatch.config.routes_file import RouteConfig, can_name_a_route, route_keys
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.domain.backoff import Backoff
from bulk_dispatch.domain.doubt_policy import POLICIES, SETTLING, DoubtPolicy
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.numbers import region_of
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers.interface import Account, Clocks, Dialect, Mode, Respells, Schedules
from bulk_dispatch.timezones import NoZoneError, zone

KEPT = timedelta(seconds=20)  # less than servers keep idle connections, as a rule
SURELY_LIVING = timedelta(milliseconds=500)  # no server is known to hang up so soon; under load none is idle
ROUNDED = timedelta(seconds=2)  # by this a clock that is asked and corrected may still be off
UNKNOWN_CLOCK = timedelta(seconds=60)  # clocks that nobody can ask are off by seconds, now and then


@dataclass(frozen=True, slots=True)
class Route:
    """A route made ready: its settings and its dialect."""

    config: RouteConfig
    dialect: Dialect
    respells: Respells | None = field(init=False, repr=False, compare=False)  # the dialect, if it does
    clock_tolerance: timedelta = field(init=False, repr=False, compare=False)
    """How far their clock may be behind ours, beyond what we know of it, before what they tell of a message
    lies too early to be of ours: as the route says; else more where we cannot ask it."""

    def __post_init__(self) -> None:
        # Once, and not for each message: to ask a dialect what it can do takes longer than to check one.
        able = self.dialect if isinstance(self.dialect, Respells) else None
        usual = ROUNDED if isinstance(self.dialect, Clocks) else UNKNOWN_CLOCK
        said = self.config.clock_tolerance
        object.__setattr__(self, "respells", able)
        object.__setattr__(self, "clock_tolerance", usual if said is None else said)

    @property
    def doubt(self) -> DoubtPolicy:
        """How doubt is settled here: as the route says, else as the provider allows."""
        return DoubtPolicy(self.config.in_doubt) if self.config.in_doubt else self.dialect.doubt

    @property
    def keepalive(self) -> timedelta:
        """How long a connection may be idle and be used again: as the route says; else only as briefly as
        nobody hangs up, where nobody could be asked afterwards whether the request had come before that."""
        if self.config.keepalive is not None:
            return self.config.keepalive
        return KEPT if self.doubt in SETTLING else SURELY_LIVING

    def policy(self, own: DoubtPolicy | None) -> DoubtPolicy:
        """How doubt about one message is settled: by asking where that is the way; else as the message says
        of its own, else as the route says."""
        return self.doubt if own is None or self.doubt in SETTLING else own

    def knows(self, account: str) -> bool:
        """Whether what left by this account can be asked about here; empty: nobody noted by which."""
        return account in ("", *self.config.account_ids)

    def retry_delay(self, tries: int, chance: float) -> timedelta:
        """The wait of a message after so many tries."""
        return Backoff(self.config.retry_first, self.config.retry_max).delay(tries, chance)

    def pause(self, failures: int, chance: float) -> timedelta:
        """The wait of the route after so many failures in a row."""
        return Backoff(self.config.pause_first, self.config.pause_max).delay(failures, chance)


def build_routes(configs: Mapping[str, RouteConfig]) -> dict[str, Route]:
    """Every route with its dialect. Raises SettingsError for what a dialect does not know."""
    return {name: build_route(config) for name, config in configs.items()}


def default_route(routes: Mapping[str, Route]) -> str:
    """The route of messages that name none: the only one, or the one that is said to be the default; empty if
    there is no such route."""
    if len(routes) == 1:
        return next(iter(routes))
    return next((name for name, route in routes.items() if route.config.default), "")


class UnknownRoute(MessageError):
    """The message names a route that is not in the routes file, or none where there is no default.

    A newer routes file than the one that was read may have it.
    """


def no_such_route(name: str, routes: Mapping[str, Route]) -> MessageError:
    """The error about a route that is none of these: an UnknownRoute, unless no file can have it."""
    none = "" if name else " (none is the default: set default = true for one)"
    kind = UnknownRoute if not name or can_name_a_route(name) else MessageError
    return kind("route", name, f"must be one of {', '.join(routes)}{none}")


def shown_route(name: str) -> str:
    """The name of a route that nobody knows, as it may be seen: where columns are mixed up it is somebody's
    number."""
    return f"<{len(name)} characters>" if sum(map(str.isdigit, name)) >= 7 else name or "(no name)"


def accept(message: Message, routes: Mapping[str, Route]) -> Message:
    """The message as it will be sent, its route filled in. Raises UnknownRoute, and MessageError if its route
    cannot carry it."""
    name = message.route or default_route(routes)
    if name not in routes:
        raise no_such_route(name, routes)
    chosen = routes[name]
    chosen.dialect.check(message)
    routed = message if name == message.route else message.routed(name)
    return chosen.respells.respelled(routed) if chosen.respells else routed


def named_route(values: object) -> object:
    """The route that plain values name, if they are such."""
    return values.get("route", "") if isinstance(values, Mapping) else ""


def named_lane(values: object) -> Lane:
    """The lane that plain values name; bulk if they name none that there is."""
    urgent = isinstance(values, Mapping) and values.get("lane") == Lane.URGENT
    return Lane.URGENT if urgent else Lane.BULK


def unknown_route(values: object, routes: Mapping[str, Route]) -> str | None:
    """The route that plain values name, if this routes file lacks it and a newer one may have it."""
    name = named_route(values)
    if not isinstance(name, str) or (name or default_route(routes)) in routes:
        return None
    return name if isinstance(no_such_route(name, routes), UnknownRoute) else None


def region_of_route(name: object, routes: Mapping[str, Route]) -> str:
    """The country that numbers are of which name none, as the route says that a message names, or the default
    one."""
    chosen = routes.get((name if isinstance(name, str) else "") or default_route(routes))
    return chosen.config.region if chosen else ""


def build_route(route: RouteConfig) -> Route:
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
    account = _account(route)
    try:
        speaker = dialect(route.provider, account)
    except ValueError as problem:
        raise SettingsError(f"routes.{route.name}: {problem}") from None
    _check_doubt(route, speaker)
    _check_schedule(route, speaker)
    _check_region(route)
    return Route(route, speaker)


def _account(route: RouteConfig) -> Account:
    return Account(
        url=route.url.rstrip("/"),
        key=route.key,
        login=route.login,
        password=route.password,
        token=route.token,
        mode=Mode(route.mode),
        package_items=route.package_items,
        package_bytes=route.package_bytes,
        in_flight=route.in_flight,
        status_items=route.status_items,
        zone=_zone(route),
        receipts=bool(route.webhook_secret),
        options=route.options,
    )


def _zone(route: RouteConfig) -> ZoneInfo | None:
    if not route.zone:
        return None
    try:
        return zone(route.zone)
    except NoZoneError:
        raise SettingsError(
            f"routes.{route.name}.zone must be a time zone such as Europe/Kyiv, got {route.zone!r}"
        ) from None


def _check_doubt(route: RouteConfig, speaker: Dialect) -> None:
    """A way to know is the provider's to offer."""
    allowed = tuple(dict.fromkeys((speaker.doubt, *POLICIES)))
    if route.in_doubt and route.in_doubt not in allowed:
        raise SettingsError(
            f"routes.{route.name}.in_doubt must be one of {', '.join(allowed)} with {route.provider}, "
            f"got {route.in_doubt!r}"
        )


def _check_region(route: RouteConfig) -> None:
    try:
        region_of(route.region)
    except MessageError as problem:
        raise SettingsError(f"routes.{route.name}.{problem}") from None


def _check_schedule(route: RouteConfig, speaker: Dialect) -> None:
    longest = speaker.longest_ahead if isinstance(speaker, Schedules) else timedelta(0)
    if route.schedule_ahead > longest:
        what = f"be at most {longest}" if longest else "be 0s: it holds no messages until their time"
        raise SettingsError(f"routes.{route.name}.schedule_ahead with {route.provider} must {what}")
