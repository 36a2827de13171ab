"""The routes file: a table for each provider account, with its limits. Read once, checked whole, frozen."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bulk_dispatch.config.settings import SettingsError, check_choice, from_environment, takes

DOUBTS = ("ask", "repeat", "hold", "resend", "fail")
MOST = 10**15  # of any number: below what their id fields and our columns hold
LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """A provider account with its limits. One `[routes.NAME]` table of the routes file.

    Durations are written "2s", "15m", "6d". A value "env:NAME" is read from the environment.
    """

    name: str
    """The NAME of the table."""

    provider: str
    """The API of the account, and so the dialect that is spoken there."""

    url: str = field(repr=False, metadata=takes("an http(s) address"))
    """The base address of the provider."""

    default: bool = False
    """Messages that name no route take this one. At most one route may have it; an only route needs no such
    key."""

    region: str = field(default="", metadata=takes("a country code, such as `UA`"))
    """The country of numbers that name none, in files, tasks and JSON for this route. Empty: such numbers are
    refused."""

    account: str = field(default="", metadata=takes("up to 64 letters, digits, dashes and underscores"))
    """A name for the account. What left under this name is asked about under it, whatever the credentials and
    the address are by then, so that a key can be renewed with messages in flight
    (docs/how-to/rotate-a-key.md). Empty: the account is recognised by its address and credentials. Two routes
    may name one account, with different keys too, if they differ in `mode` or `provider`; otherwise the file
    is refused."""

    key: str = field(default="", repr=False, metadata=takes("a credential", secret=True))
    """The key, where the provider gives one."""

    login: str = field(default="", repr=False, metadata=takes("a credential", secret=True))
    """The login, where the provider wants login and password."""

    password: str = field(default="", repr=False, metadata=takes("a credential", secret=True))
    """The password that goes with `login`."""

    token: str = field(default="", repr=False, metadata=takes("a credential", secret=True))
    """The token, where the provider gives one."""

    webhook_secret: str = field(
        default="",
        repr=False,
        metadata=takes("20 or more letters, digits, dashes and underscores", secret=True),
    )
    """The secret part of the path at which the provider delivers receipts (docs/how-to/receipts.md). Empty:
    none are taken."""

    webhook_allow_from: str = field(default="", metadata=takes("addresses and networks, separated by commas"))
    """Where receipts may come from. Empty: from everywhere."""

    webhook_per_second: int = field(default=5000, metadata=takes("receipts a second"))
    """How many receipts each `worker web` lets in. More are answered 429, so that the provider tries
    again."""

    mode: str = field(default="sync", metadata=takes(choices=("sync", "async")))
    """`sync`: the answer has a result for each message. `async`: the package becomes a job at the provider,
    which is asked for its results."""

    package_items: int = field(default=0, metadata=takes("messages", may_be_zero=True))
    """The most messages in one package. 0: what the dialect has, such as 100 (`sync`) or 1000 (`async`) for
    AlphaSMS XML, which publishes no limit."""

    package_bytes: int = field(default=0, metadata=takes("bytes", may_be_zero=True))
    """About how large a request may be. 0: what the dialect has."""

    parallel: int = field(default=2, metadata=takes("packages"))
    """How many packages may be on the wire at once, over all workers. From 2 on, one of them is kept for
    urgent messages: the bulk lane has `parallel` - 1 at most, the urgent lane all of them. With 1, urgent
    messages leave first."""

    in_flight: int = field(default=0, metadata=takes("requests", may_be_zero=True))
    """How many requests of one package may run at once, where each message is a request. 0: what the dialect
    has (`alphasms-http` 8, `smartswitch` 20)."""

    status_items: int = field(default=0, metadata=takes("messages", may_be_zero=True))
    """The most messages in one status request. 0: what the dialect has."""

    schedule_ahead: timedelta = field(default=timedelta(0), metadata=takes(may_be_zero=True))
    """How long before its `send_at` a message may be given to a provider that holds it until then: a day at
    most with AlphaSMS, a week with webcom. Until that time it waits here, where it can always be cancelled.
    It waits here until its `send_at` while the provider's clock is unknown or more than 2 minutes off; and
    if it is to leave in the hour that clocks show twice when summer time ends, where times are sent without
    an offset (webcom)."""

    in_doubt: str = field(default="", metadata=takes(choices=("", *DOUBTS)))
    """What to do about a message in doubt. `ask` and `repeat` only where the provider offers them; then they
    are the default, elsewhere it is `hold`. A message's own `in_doubt` comes before `hold`, `resend` and
    `fail` of its route."""

    attempts: int = field(default=5, metadata=takes("tries"))
    """How often a message may be tried before it is *failed*."""

    retry_first: timedelta = timedelta(seconds=5)
    """How long a message waits after its first failed try. The wait doubles with each try."""

    retry_max: timedelta = timedelta(minutes=15)
    """The longest wait between two tries of a message."""

    connect_timeout: timedelta = timedelta(seconds=5)
    """How long connecting may take, TLS included."""

    timeout: timedelta = timedelta(seconds=20)
    """How long the provider may take to receive the request, and again to answer it whole."""

    keepalive: timedelta | None = field(default=None, metadata=takes(may_be_zero=True))
    """A connection that was idle for longer is not used again; `0s`: each request has its own. A server that
    closes a connection just as a request leaves puts its messages in doubt. Left out: `20s` where the
    provider can settle doubt (`ask`, `repeat`), elsewhere `500ms`: no server is known to close sooner, and
    within a campaign no connection is idle for longer."""

    lease: timedelta = timedelta(seconds=60)
    """A package that is open for longer has lost the worker that sent it, and another takes it up. At least
    `connect_timeout`, twice `timeout`, and `lease_margin`."""

    lease_margin: timedelta = timedelta(seconds=5)
    """How long a worker has at least, after the longest exchange, to write down what came of it. Once its
    lease has ended, a package is taken for lost and its messages are in doubt: shorten this only where the
    database answers at once."""

    pause_first: timedelta = timedelta(seconds=1)
    """How long the route pauses after a failure. The pause doubles with each failure in a row."""

    pause_max: timedelta = timedelta(seconds=10)
    """The longest pause of the route. Short, so that it soon goes on when the provider is back."""

    poll_first: timedelta = timedelta(seconds=30)
    """When a package is first asked about after it was sent. The wait doubles with each poll."""

    poll_max: timedelta = timedelta(minutes=15)
    """The longest wait between two polls, also of what the provider holds until its time."""

    horizon: timedelta = timedelta(days=6)
    """A message that has no final status for so long is *unconfirmed*."""

    job_first: timedelta = timedelta(seconds=2)
    """When a job is first asked about. The wait doubles each time."""

    job_max: timedelta = timedelta(seconds=60)
    """The longest wait between two questions about a job."""

    in_doubt_first: timedelta = timedelta(seconds=5)
    """When the provider is first asked about messages in doubt."""

    in_doubt_wait: timedelta = timedelta(seconds=65)
    """With `ask`: a message that the provider has denied for so long was surely not taken. With `repeat`: the
    wait before it is sent again under the same id."""

    in_doubt_wait_job: timedelta = timedelta(minutes=10)
    """The same where the message may still wait in a job at the provider."""

    in_doubt_max: timedelta = timedelta(days=1)
    """In doubt for longer, a message is neither queued again because the provider denies it, nor repeated:
    nobody publishes how long a provider remembers an id. If the provider knows it, that still settles it;
    otherwise it waits for `worker resolve`. At least `in_doubt_wait` and `in_doubt_wait_job`."""

    reference_offset: int = field(default=0, metadata=takes("ids", may_be_zero=True))
    """Added to our ids at the provider. A new ledger begins in a range of its own, between 500 million
    and 1.6 billion; an older one began at 1. Needed where another ledger has used the same account and the
    ids meet all the same: then the route stops for a *collision*, and says so."""

    clock_tolerance: timedelta | None = field(default=None, metadata=takes(may_be_zero=True))
    """What a provider reports of a message cannot have happened before the message was first sent. If it is
    earlier by more than this, it is taken for another ledger's message that had the id before: the message is
    held, and the route stops. Left out: `2s` where the provider's clock is asked and allowed for (webcom),
    elsewhere `60s`."""

    zone: str = field(default="", metadata=takes("a time zone, such as `Europe/Kyiv`"))
    """The zone of the provider's times that carry none. Empty: what the dialect has (`Europe/Kyiv` for
    AlphaSMS, `Europe/Moscow` for webcom)."""

    balance_warn_below: int = field(
        default=0, metadata=takes("money, in the account's currency", may_be_zero=True)
    )
    """With less money than this `worker routes list`, `worker doctor` and the log (`balance_low`) warn. 0:
    never."""

    balance_interval: timedelta = timedelta(minutes=10)
    """How often a provider is asked for the money left and for its time, where it tells them."""

    options: Mapping[str, str] = field(default_factory=dict)
    """The keys that only the dialect of the route knows, as texts."""

    def __post_init__(self) -> None:
        for name, value in ((name, getattr(self, name)) for name in _ROUTE_FIELDS):
            _check_value(f"routes.{self.name}.{name}", name, value)
        for name, spec in _ROUTE_FIELDS.items():
            if choices := spec.metadata.get("choices"):
                check_choice(f"routes.{self.name}.{name}", getattr(self, name), choices)
        if self.account and not can_name_a_route(self.account):
            raise SettingsError(
                f"routes.{self.name}.account has up to 64 letters, digits, dashes and underscores, "
                f"got {self.account!r}"
            )
        if not _is_address(self.url):
            shown = re.sub(r"//.*@", "//…@", self.url)[:24]  # what stands before an @ is a credential
            raise SettingsError(f"routes.{self.name}.url must be an http(s) address, got {shown!r}")
        if self.lease < self.exchange + self.lease_margin:
            raise SettingsError(
                f"routes.{self.name}.lease must outlast connect_timeout + 2 timeout + lease_margin, "
                f"got {self.lease}"
            )

        if self.in_doubt_max < max(self.in_doubt_wait, self.in_doubt_wait_job):
            raise SettingsError(
                f"routes.{self.name}.in_doubt_max must be at least in_doubt_wait and in_doubt_wait_job, "
                f"got {self.in_doubt_max}"
            )

    @property
    def exchange(self) -> timedelta:
        """The longest that one exchange takes: to connect, to send, to be answered."""
        return self.connect_timeout + 2 * self.timeout

    @property
    def account_id(self) -> str:
        """Which account this is and by which ids it knows our messages, without a word of its credentials: as
        it is named, or else as they tell. What left by an account is asked about there alone."""
        if not self.account:
            return self._account_by_credentials
        return f"{self.provider}={self.account}" + (
            f"+{self.reference_offset}" if self.reference_offset else ""
        )

    @property
    def account_ids(self) -> tuple[str, ...]:
        """The ids that mean this account: before it was named, it went by its credentials."""
        return tuple(dict.fromkeys((self.account_id, self._account_by_credentials)))

    @property
    def _account_by_credentials(self) -> str:
        """Provider, host, and a digest of `identity` and `reference_offset`. The digest is short: it tells an
        account from another, and no login can be guessed by it."""
        whole = "\n".join((*self.identity, str(self.reference_offset)))
        return f"{self.provider}@{urlsplit(self.url).hostname}:{sha256(whole.encode()).hexdigest()[:6]}"

    @property
    def settings_digest(self) -> str:
        """Short, of all that is no secret: whether two processes go by the same settings."""
        shown = [(key, getattr(self, key)) for key in _ROUTE_FIELDS if key not in _SECRETS]
        return sha256(repr([*shown, *sorted(self.options.items())]).encode()).hexdigest()[:8]

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes an account that has no name; a new password leaves it the same one."""
        return (self.provider, self.url.rstrip("/"), self.key, self.login, self.token)


_ROUTE_FIELDS: dict[str, "Field[Any]"] = {f.name: f for f in fields(RouteConfig) if f.name != "options"}

_SECRETS = [name for name, spec in _ROUTE_FIELDS.items() if spec.metadata.get("secret")]

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _is_address(url: str) -> bool:
    if not re.fullmatch(r"https?://[^\s/]+\S*", url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:  # a port that is no number, a host name that cannot be one
        return False


Secret: TypeAlias = Callable[[str, str], str]
"""Gives a credential, by its key and by the NAME in its `env:NAME`."""


def read_routes(path: Path, secret: Secret | None = None) -> dict[str, RouteConfig]:
    """The routes of a routes file, by name, in the file's order.

    `secret` turns a key and the NAME in its `env:NAME` into a credential; by default, and for all other keys,
    it is read from the environment. Raises SettingsError for a file that is not there, an unknown or missing
    key, a wrong value, a missing secret, or two routes alike.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"no routes file at {path}; WORKER_ROUTES names it") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read: {problem}") from None
    except (ValueError, RecursionError) as problem:
        # tomllib refuses a table that stands there twice: two routes of one name end here.
        raise SettingsError(f"{path} is not valid TOML: {problem}") from None
    for key in tables.keys() - {"routes"}:
        raise SettingsError(f"{path}: unknown key {key!r}; routes stand in [routes.NAME] tables")
    named = tables.get("routes", {})
    if not isinstance(named, dict) or not named:
        raise SettingsError(f"{path} names no route; add a [routes.NAME] table")
    routes = {name: _route(name, table, secret or _every_secret) for name, table in named.items()}
    _check_distinct(path, routes)
    _check_one_default(path, routes)
    return routes


def names_only(key: str, name: str) -> str:  # noqa: ARG001 - of every key
    """A `secret` for programs that need no secrets, such as those that enqueue: the name stands for it."""
    return name


def receipts_only(key: str, name: str) -> str:
    """A `secret` for the door that receipts come by, which faces strangers: it knows no other."""
    return from_environment(name) if key == "webhook_secret" else name


def _every_secret(key: str, name: str) -> str:  # noqa: ARG001 - of every key
    return from_environment(name)


def _route(name: str, table: object, secret: Secret) -> RouteConfig:
    if not can_name_a_route(name):
        raise SettingsError(f"routes.{name}: a name has up to 64 letters, digits, dashes and underscores")
    if not isinstance(table, dict):
        raise SettingsError(f"routes.{name} must be a table")
    for key, spec in _ROUTE_FIELDS.items():
        if spec.default is MISSING and key != "name" and key not in table:
            raise SettingsError(f"routes.{name}: {key} is missing")
    values: dict[str, Any] = {
        key: _value(f"routes.{name}.{key}", key, raw, secret)
        for key, raw in table.items()
        if key in _ROUTE_FIELDS and key != "name"
    }
    options = {key: _option(f"routes.{name}.{key}", raw) for key, raw in table.items() if key not in values}
    return RouteConfig(name=name, options=options, **values)


def can_name_a_route(name: str) -> bool:
    """Whether some routes file may have a route of that name."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is not None


def route_keys() -> list[str]:
    """The keys every route may have."""
    return sorted(_ROUTE_FIELDS.keys() - {"name"})


def _option(where: str, raw: object) -> str:
    """A key that is the dialect's to know: a text, a number, or a truth value as 1 or 0."""
    raw = _looked_up(where, raw, from_environment)
    if not isinstance(raw, str | int):
        raise SettingsError(f"{where} must be a text, a number, true or false")
    return str(int(raw)) if isinstance(raw, bool) else str(raw)


def _value(where: str, key: str, raw: object, secret: Secret) -> object:
    raw = _looked_up(where, raw, partial(secret, key) if key in _SECRETS else from_environment)
    expected = _ROUTE_FIELDS[key].type
    if expected in (timedelta, timedelta | None):
        return duration(where, raw)
    if expected is int and isinstance(raw, str) and raw.isdecimal():
        return int(raw)
    return raw


def _looked_up(where: str, raw: object, look: Callable[[str], str]) -> object:
    """A value as it stands, or the one it says is in the environment."""
    if not (isinstance(raw, str) and raw.startswith("env:")):
        return raw
    found = look(raw[4:])
    if not found:
        raise SettingsError(f"{where} needs the environment variable {raw[4:]}, which is not set")
    return found


def duration(where: str, raw: object) -> timedelta:
    """A length of time from "250ms", "2s", "15m", "12h" or "6d"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(ms|s|m|h|d)", raw) if isinstance(raw, str) else None
    if not found:
        raise SettingsError(f'{where} must be a length of time such as "2s", "15m" or "6d", got {raw!r}')
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise SettingsError(f"{where} is longer than time itself, got {raw!r}") from None


def _check_value(where: str, name: str, value: object) -> None:
    expected = _ROUTE_FIELDS[name].type
    may_be_zero = _ROUTE_FIELDS[name].metadata.get("may_be_zero", False)
    if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):  # type: ignore[arg-type]
        shown = "…" if name in _SECRETS else repr(value)
        raise SettingsError(f"{where} must be {getattr(expected, '__name__', expected)}, got {shown}")
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value < (0 if may_be_zero else 1):
        raise SettingsError(f"{where} must be positive, got {value}")
    if isinstance(value, int) and value > MOST:
        raise SettingsError(f"{where} must be at most {MOST}")
    if value == timedelta(0) and may_be_zero:
        return
    if isinstance(value, timedelta) and not timedelta(0) < value <= LONGEST:
        raise SettingsError(f"{where} must be longer than nothing and at most {LONGEST.days}d")
    if isinstance(value, str) and not value.isprintable():
        raise SettingsError(f"{where} must hold no control characters")


def _check_distinct(path: Path, routes: Mapping[str, RouteConfig]) -> None:
    """Two names for one account would undo its limits: each would keep to them alone. By which key each comes
    in is no matter, if both say which account they are."""
    seen: dict[tuple[str, ...], str] = {}
    for route in routes.values():
        named = [(route.provider, route.account, route.mode)] if route.account else []
        for account in ((*route.identity, route.mode), *named):
            if seen.setdefault(account, route.name) != route.name:
                both = f"{seen[account]} and {route.name}"
                raise SettingsError(f"{path}: routes {both} are alike: the same account and mode twice")


def _check_one_default(path: Path, routes: Mapping[str, RouteConfig]) -> None:
    defaults = [route.name for route in routes.values() if route.default]
    if len(defaults) > 1:
        raise SettingsError(f"{path}: routes {' and '.join(defaults)} are each the default; only one can be")
