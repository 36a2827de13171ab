"""Settings: where things are, read once from the environment, checked whole, frozen. The only module that
looks at the environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bulk_dispatch.config.server_urls import (
    AddressError,
    broker_address,
    database_address,
    next_database,
    redis_address,
)


class SettingsError(ValueError):
    """A setting that cannot be used. The sentence names it, its value (unless secret) and where it stands."""


LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

FSYNC = "fsync"
DURABILITIES = ("redis", FSYNC)


def takes(
    unit: str = "", *, may_be_zero: bool = False, choices: tuple[str, ...] = (), secret: bool = False
) -> Mapping[str, Any]:
    """What values a field takes, as its metadata. Its class checks values by it, and
    docs/reference/settings.md is written from these fields and the text under each.

    `unit` is what a number counts, or what a text is. A number or a length of time is positive unless it
    `may_be_zero`. A `secret` is never shown.
    """
    return {"unit": unit, "may_be_zero": may_be_zero, "choices": choices, "secret": secret}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. Every field is an environment variable `WORKER_<FIELD>`."""

    database_url: str = field(default="", repr=False, metadata=takes("an address", secret=True))
    """The ledger: `postgresql://user:password@host/database`, PostgreSQL 18 or newer; every command and
    worker refuses an older one at once. Empty: the command line uses the embedded one."""

    redis_url: str = field(default="", repr=False, metadata=takes("an address", secret=True))
    """The intake: `redis://host:6379/0`, `rediss://…`, or `unix:///path?db=0`. Set this and
    `WORKER_DATABASE_URL`, or neither."""

    broker_url: str = field(default="", repr=False, metadata=takes("an address", secret=True))
    """Celery's broker. Nothing else may use its database. Empty: the next database of `WORKER_REDIS_URL`."""

    routes: Path = Path("routes.toml")
    """The routes file."""

    data_dir: Path = Path(".worker")
    """The folder of the embedded servers' data. If it is not set and the current folder cannot be written to:
    `bulk-dispatch` in `XDG_STATE_HOME`, or else in `~/.local/state`."""

    log_level: str = field(default="INFO", metadata=takes(choices=LOG_LEVELS))
    """What workers and beat log: this and what is graver."""

    durability: str = field(default="redis", metadata=takes(choices=DURABILITIES))
    """When a `Dispatcher` and `worker send` have handed a message over. `redis`: when Redis has it, whose
    `appendfsync` says how soon it is on the disk. `fsync`: when Redis has confirmed that it is on the disk.
    That takes Redis 7.2 or newer, or Valkey, with `appendonly yes` and an `appendfsync` of `always` or
    `everysec` (docs/explanation/guarantees.md); with any other, opening a `Dispatcher` fails. Tasks are taken
    in as before."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings the environment gives. Raises SettingsError, naming the variable."""
        given = os.environ if environ is None else environ
        values = {f.name: given.get(f"WORKER_{f.name.upper()}", "") for f in fields(cls)}
        _check_together(values)
        level = (values["log_level"] or "INFO").upper()
        check_choice("WORKER_LOG_LEVEL", level, LOG_LEVELS)
        durability = values["durability"] or "redis"
        check_choice("WORKER_DURABILITY", durability, DURABILITIES)
        redis_url = _checked("WORKER_REDIS_URL", values["redis_url"], redis_address)
        broker_url = _checked("WORKER_BROKER_URL", values["broker_url"], broker_address)
        return cls(
            database_url=_checked("WORKER_DATABASE_URL", values["database_url"], database_address),
            redis_url=redis_url,
            broker_url=broker_url or next_database(redis_url),
            routes=Path(values["routes"] or "routes.toml"),
            data_dir=_data_dir(values["data_dir"]),
            log_level=level,
            durability=durability,
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


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a child process: that of this one, with these settings filled in."""
    return {**os.environ, **settings.environment(), "PYTHONUNBUFFERED": "1"}


def _checked(variable: str, written: str, read: Callable[[str], str]) -> str:
    """An address of a server, if one was given. Raises SettingsError, naming the variable it came by."""
    try:
        return read(written) if written else ""
    except AddressError as problem:
        raise SettingsError(f"{variable} {problem}") from None


def from_environment(name: str) -> str:
    """The value of any variable, such as one that a routes file names; empty if it is not set."""
    return os.environ.get(name, "")


def check_choice(where: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise SettingsError for a value that is none of those allowed. `where` names the setting."""
    if value not in allowed:
        raise SettingsError(f"{where} must be one of {', '.join(filter(None, allowed))}, got {value!r}")
