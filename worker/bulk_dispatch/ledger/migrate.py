"""Bring a database to the schema this code expects, and tell whether it stands there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.queries import revision

if TYPE_CHECKING:  # alembic takes a fifth of a second to load, and most commands only compare numbers
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
