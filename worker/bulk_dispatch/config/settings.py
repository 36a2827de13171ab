"""Settings and routes: read once, checked whole, frozen. The only module that looks at the environment."""

import os
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

from bulk_dispatch.config.server_urls import (
    AddressError,
    broker_address,
    database_address,
    next_database,
    redis_address,
)


class SettingsError(ValueError):
    """A setting that cannot be used. The sentence names it, its value (unless secret) and where it stands."""


@dataclass(frozen=True, slots=True)
class Route:
    """A provider account with its limits. One `[routes.NAME]` table of the routes file.

    Durations are written "2s", "15m", "6d". A value "env:NAME" is read from the environment.
    """

    name: str
    provider: str  # the dialect, a name of bulk_dispatch.providers.PROVIDERS
    url: str = field(repr=False)  # base address of the provider
    default: bool = False  # messages that name no route take this one
    region: str = ""  # the country (UA) of numbers that name none; empty: these are refused
    account: str = ""  # which account this is, whatever its credentials; empty: the one they are of
    key: str = field(default="", repr=False)  # credential, as the provider needs it
    login: str = field(default="", repr=False)  # credential, older form
    password: str = field(default="", repr=False)  # credential, older form
    token: str = field(default="", repr=False)  # credential of providers with tokens
    receipts: str = field(default="", repr=False)  # the secret part of the path receipts come by; empty: none
    receipts_from: str = ""  # addresses and networks that may bring them, by commas; empty: all
    receipts_per_second: int = 5000  # more than these are turned away
    mode: str = "sync"  # sync: verdicts in the answer; async: the package becomes a job
    package_items: int = 0  # messages a package; 0: the dialect's own default
    package_bytes: int = 0  # bytes a request, about; 0: the dialect's own default
    parallel: int = 2  # packages on the wire at once, over the whole fleet
    in_flight: int = 0  # requests of one package at once, where each message is one; 0: by dialect
    status_items: int = 0  # messages a status request; 0: by dialect
    schedule_ahead: timedelta = timedelta(0)  # before its send_at, so soon the provider is given a message
    in_doubt: str = ""  # ask | repeat | hold | resend | fail; empty: what the provider makes possible
    attempts: int = 5  # times a message may be tried before it is failed
    retry_first: timedelta = timedelta(seconds=5)  # wait after the first failed try of a message, doubling
    retry_max: timedelta = timedelta(minutes=15)  # longest wait between tries of a message
    connect_timeout: timedelta = timedelta(seconds=5)  # to connect, TLS included
    timeout: timedelta = timedelta(seconds=20)  # to take the request, and again to answer it
    keepalive: timedelta | None = None  # a connection idle for longer is not used again; None: by dialect
    lease: timedelta = timedelta(seconds=60)  # a package this long open has lost its dispatcher
    pause_first: timedelta = timedelta(seconds=1)  # wait after the route's first failure in a row, doubling
    pause_max: timedelta = timedelta(seconds=10)  # longest wait; short, so that recovery is prompt
    poll_first: timedelta = timedelta(seconds=30)  # first look after sending
    poll_max: timedelta = timedelta(minutes=15)  # longest wait between looks
    horizon: timedelta = timedelta(days=6)  # with no verdict for so long, a message is unconfirmed
    job_first: timedelta = timedelta(seconds=2)  # first look at a job
    job_max: timedelta = timedelta(seconds=60)  # longest wait between looks at a job
    doubt_first: timedelta = timedelta(seconds=5)  # first question about messages in doubt
    doubt_wait: timedelta = timedelta(seconds=65)  # they deny it for so long: surely not taken; or: ask again
    doubt_wait_job: timedelta = timedelta(minutes=10)  # the same when a job may still be queued there
    doubt_most: timedelta = timedelta(days=1)  # in doubt for longer, a denial proves nothing: people decide
    reference_offset: int = 0  # added to our ids at the provider, for accounts used before
    clock_tolerance: timedelta | None = None  # their clock may be behind by this; None: by dialect
    zone: str = ""  # of the provider's times that carry none; empty: by dialect
    balance_least: int = 0  # money below which we warn; 0: never
    balance_every: timedelta = timedelta(minutes=10)  # how often we ask for the balance
    options: Mapping[str, str] = field(default_factory=dict)  # keys that its dialect alone knows

    def __post_init__(self) -> None:
        for name, value in ((name, getattr(self, name)) for name in _ROUTE_FIELDS):
            _check_value(f"routes.{self.name}.{name}", name, value)
        _check_choice(f"routes.{self.name}.mode", self.mode, ("sync", "async"))
        _check_choice(f"routes.{self.name}.in_doubt", self.in_doubt, ("", *DOUBTS))
        if self.account and not can_name_a_route(self.account):
            raise SettingsError(
                f"routes.{self.name}.account has up to 64 letters, digits, dashes and underscores, "
                f"got {self.account!r}"
            )
        if not _is_address(self.url):
            shown = re.sub(r"//.*@", "//…@", self.url)[:24]  # what stands before an @ is a credential
            raise SettingsError(f"routes.{self.name}.url must be an http(s) address, got {shown!r}")
        if self.lease < self.exchange + timedelta(seconds=5):
            raise SettingsError(
                f"routes.{self.name}.lease must outlast connect_timeout + 2 timeout + 5s, got {self.lease}"
            )

        if self.doubt_most < max(self.doubt_wait, self.doubt_wait_job):
            raise SettingsError(
                f"routes.{self.name}.doubt_most must be at least doubt_wait and doubt_wait_job, "
                f"got {self.doubt_most}"
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


_ROUTE_FIELDS: dict[str, "Field[Any]"] = {f.name: f for f in fields(Route) if f.name != "options"}
_SECRETS = ("key", "login", "password", "token", "receipts")
_MAY_BE_ZERO = (
    "package_items",
    "package_bytes",
    "in_flight",
    "status_items",
    "reference_offset",
    "balance_least",
    "schedule_ahead",
    "keepalive",
    "clock_tolerance",
)
DOUBTS = ("ask", "repeat", "hold", "resend", "fail")
MOST = 10**15  # of any number: below what their id fields and our columns hold
LONGEST = timedelta(days=366)
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. Every field is an environment variable `WORKER_<FIELD>`."""

    database_url: str = field(default="", repr=False)  # the ledger; empty: the embedded PostgreSQL
    redis_url: str = field(default="", repr=False)  # the intake; empty: the embedded Redis
    broker_url: str = field(default="", repr=False)  # Celery's; default: the Redis one, next database
    routes: Path = Path("routes.toml")  # the routes file
    data_dir: Path = Path(".worker")  # embedded data
    log_level: str = "INFO"  # of workers and beat

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings the environment gives. Raises SettingsError, naming the variable."""
        given = os.environ if environ is None else environ
        values = {f.name: given.get(f"WORKER_{f.name.upper()}", "") for f in fields(cls)}
        _check_together(values)
        level = (values["log_level"] or "INFO").upper()
        _check_choice("WORKER_LOG_LEVEL", level, ("DEBUG", "INFO", "WARNING", "ERROR"))
        redis_url = _checked("WORKER_REDIS_URL", values["redis_url"], redis_address)
        broker_url = _checked("WORKER_BROKER_URL", values["broker_url"], broker_address)
        return cls(
            database_url=_checked("WORKER_DATABASE_URL", values["database_url"], database_address),
            redis_url=redis_url,
            broker_url=broker_url or next_database(redis_url),
            routes=Path(values["routes"] or "routes.toml"),
            data_dir=_data_dir(values["data_dir"]),
            log_level=level,
        )

    @property
    def embedded(self) -> bool:
        """Whether the embedded servers are meant."""
        return not self.database_url

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process."""
        return {f"WORKER_{f.name.upper()}": str(getattr(self, f.name)) for f in fields(self)}


def _check_together(values: Mapping[str, str]) -> None:
    """Half of the pair is a slip: an embedded server beside somebody's real one is never meant."""
    pair = {f"WORKER_{name.upper()}": values[name] for name in ("database_url", "redis_url")}
    lacking = [name for name, value in pair.items() if not value]
    if len(lacking) == 1:
        raise SettingsError(
            f"{lacking[0]} is not set: {' and '.join(pair)} must be given together, or neither "
            "(then an embedded pair is used)"
        )


def _is_address(url: str) -> bool:
    if not re.fullmatch(r"https?://[^\s/]+\S*", url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:  # a port that is no number, a host name that cannot be one
        return False


def data_dir() -> Path:
    """Where embedded data goes, even if the other settings are not fit to be read."""
    return _data_dir(os.environ.get("WORKER_DATA_DIR", ""))


def _data_dir(given: str) -> Path:
    """The folder given; else one in the current folder; where nothing may be written there, in the person's
    own (XDG Base Directory)."""
    if given:
        return Path(given)
    here = Path(".worker")
    if here.exists() or os.access(".", os.W_OK):
        return here
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "bulk-dispatch"


def inherited_environment() -> dict[str, str]:
    """The whole environment, to hand on to a child process."""
    return dict(os.environ)


def _checked(variable: str, written: str, read: Callable[[str], str]) -> str:
    """An address of a server, if one was given. Raises SettingsError, naming the variable it came by."""
    try:
        return read(written) if written else ""
    except AddressError as problem:
        raise SettingsError(f"{variable} {problem}") from None


Secret: TypeAlias = Callable[[str, str], str]
"""Gives a credential, by its key and by the NAME in its `env:NAME`."""


def read_routes(path: Path, secret: Secret | None = None) -> dict[str, Route]:
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
    return _from_environment(name) if key == "receipts" else name


def _every_secret(key: str, name: str) -> str:  # noqa: ARG001 - of every key
    return _from_environment(name)


def _from_environment(name: str) -> str:
    return os.environ.get(name, "")


def _route(name: str, table: object, secret: Secret) -> Route:
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
    return Route(name=name, options=options, **values)


def can_name_a_route(name: str) -> bool:
    """Whether some routes file may have a route of that name."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is not None


def route_keys() -> list[str]:
    """The keys every route may have."""
    return sorted(_ROUTE_FIELDS.keys() - {"name"})


def _option(where: str, raw: object) -> str:
    """A key that is the dialect's to know: a text, a number, or a truth value as 1 or 0."""
    raw = _looked_up(where, raw, _from_environment)
    if not isinstance(raw, str | int):
        raise SettingsError(f"{where} must be a text, a number, true or false")
    return str(int(raw)) if isinstance(raw, bool) else str(raw)


def _value(where: str, key: str, raw: object, secret: Secret) -> object:
    raw = _looked_up(where, raw, partial(secret, key) if key in _SECRETS else _from_environment)
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
    if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):  # type: ignore[arg-type]
        shown = "…" if name in _SECRETS else repr(value)
        raise SettingsError(f"{where} must be {getattr(expected, '__name__', expected)}, got {shown}")
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value < (0 if name in _MAY_BE_ZERO else 1):
        raise SettingsError(f"{where} must be positive, got {value}")
    if isinstance(value, int) and value > MOST:
        raise SettingsError(f"{where} must be at most {MOST}")
    if value == timedelta(0) and name in _MAY_BE_ZERO:
        return
    if isinstance(value, timedelta) and not timedelta(0) < value <= LONGEST:
        raise SettingsError(f"{where} must be longer than nothing and at most {LONGEST.days}d")
    if isinstance(value, str) and not value.isprintable():
        raise SettingsError(f"{where} must hold no control characters")


def _check_choice(where: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{where} must be one of {', '.join(filter(None, allowed))}, got {value!r}")


def _check_distinct(path: Path, routes: Mapping[str, Route]) -> None:
    """Two names for one account would undo its limits: each would keep to them alone. By which key each comes
    in is no matter, if both say which account they are."""
    seen: dict[tuple[str, ...], str] = {}
    for route in routes.values():
        named = [(route.provider, route.account, route.mode)] if route.account else []
        for account in ((*route.identity, route.mode), *named):
            if seen.setdefault(account, route.name) != route.name:
                both = f"{seen[account]} and {route.name}"
                raise SettingsError(f"{path}: routes {both} are alike: the same account and mode twice")


def _check_one_default(path: Path, routes: Mapping[str, Route]) -> None:
    defaults = [route.name for route in routes.values() if route.default]
    if len(defaults) > 1:
        raise SettingsError(f"{path}: routes {' and '.join(defaults)} are each the default; only one can be")
