"""Bring a database to the schema this code expects, and tell whether it stands there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.queries import revision

if TYPE_CHECKING:  # alembic takes a fifth of a second to load, and most commands only compare numbers
    from types import ModuleType

    from alembic.config import Config

_HERE = Path(__file__).resolve().parent.parent
_UPGRADE_LOCK = 7_702_026_001  # any number, but always this one


def migrations() -> Path:
    """Where the migrations are: inside an installed package, beside it in a checkout."""
    installed = _HERE / "_migrations"
    return installed if installed.is_dir() else _HERE.parents[1] / "migrations"


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    return config


def head() -> str:
    """The newest migration: they are numbered, and stand in one line."""
    return max(path.name.split("_")[0] for path in (migrations() / "versions").glob("[0-9]*_*.py"))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an upgrade will take, from migration to migration: for about so many messages so many seconds, in
    which nobody can use the ledger, and so many MB of the disk until it ends."""

    before: str
    after: str
    messages: int
    seconds: int
    room_mb: int

    def __str__(self) -> str:
        return (
            f"from {self.before} to {self.after}, with about {self.messages:,} messages: about "
            f"{self.seconds:,} s, in which nobody can use the ledger, and {self.room_mb:,} MB of room until "
            "it ends"
        )


def forecast(ledger: Ledger) -> Forecast | None:
    """What an upgrade would take; None if the database is new, or needs none. Changes nothing."""
    before, after = behind(ledger)
    if not before or before >= after:
        return None
    scripts = _scripts(before)
    with ledger.begin() as connection:
        messages = connection.execute(_MESSAGES).scalar_one()
        tables = [script.ROOM_OF for script in scripts if hasattr(script, "ROOM_OF")]
        room = sum(connection.execute(_SIZE, {"name": name}).scalar_one() or 0 for name in tables)
    each = sum(getattr(script, "SECONDS_PER_MILLION", 0) for script in scripts)
    return Forecast(before, after, messages, round(messages / 1e6 * each) + 1, round(room / 1e6) + 1)


# As the server reckons; a table that it has not looked at yet is counted.
_MESSAGES = text("""
    SELECT CASE WHEN reltuples >= 0 THEN reltuples::bigint ELSE (SELECT count(*) FROM messages) END
    FROM pg_class WHERE oid = 'messages'::regclass
""")
_SIZE = text("SELECT pg_total_relation_size(to_regclass(:name))")


def _scripts(after: str) -> "list[ModuleType]":
    """The migrations that come after one, as modules. Each may tell SECONDS_PER_MILLION and ROOM_OF."""
    from alembic.script import ScriptDirectory

    found = ScriptDirectory.from_config(_config()).iterate_revisions("head", after)
    return [script.module for script in found]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The migration a database stands at, and what the migrations on the way have to tell: a sentence each,
    with no whole number."""

    now: str
    told: tuple[str, ...]


def upgrade(ledger: Ledger, target: str = "head") -> str:
    """Apply what is missing; returns the migration the database stands at then. Two at once is safe."""
    return upgraded(ledger, target).now


def upgraded(ledger: Ledger, target: str = "head") -> Upgraded:
    """The same; returns also what is to be told."""
    from alembic import command

    told = _run(ledger, lambda config: command.upgrade(config, target))
    return Upgraded(behind(ledger)[0], told)


def downgrade(ledger: Ledger, target: str) -> None:
    """Undo migrations down to `target` ("base" for all)."""
    from alembic import command

    _run(ledger, lambda config: command.downgrade(config, target))


def behind(ledger: Ledger) -> tuple[str, str]:
    """(where the database stands, where this code expects it); equal when all is well."""
    with ledger.begin() as connection:
        return revision(connection), head()


def check_migrated(ledger: Ledger, *, or_ahead: bool = False) -> None:
    """Raise LedgerError unless the database stands where this code expects it; with `or_ahead` also if it is
    further, as while workers are upgraded after it, one by one. Nothing must leave whose end could not be
    written down."""
    there, expected = behind(ledger)
    if there != expected and not (or_ahead and there > expected):
        stands = f"stands at {there}" if there else "is not migrated"
        raise LedgerError(f"the database {stands}, {expected} is expected; run: worker db upgrade")


def _run(ledger: Ledger, work: "Callable[[Config], None]") -> tuple[str, ...]:
    config = _config()
    told: list[str] = config.attributes.setdefault("told", [])
    with ledger.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # Numbers and ids are read here, not by the server: of a million that takes longer than we may idle.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))  # a second upgrade waits for the first
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        # What comes to a table after us waits behind us, also where we wait for a long read of it.
        connection.execute(text("SET LOCAL lock_timeout = '3s'"))
        config.attributes["connection"] = connection
        work(config)
    return tuple(told)
