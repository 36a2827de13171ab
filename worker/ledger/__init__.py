"""The book: every message, package and event, in PostgreSQL. All SQL lives in this room."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

__all__ = ["Ledger", "LedgerError"]


class LedgerError(RuntimeError):
    """The ledger cannot be used: not there, not migrated, or not ours. One sentence, no credential."""


# Generic plans are made once, for the table as it is then; a plan made for an empty table reads all of a
# full one. Planning anew costs 0.3 ms a statement, and a statement carries a thousand rows.
_OPTIONS = (
    "-c plan_cache_mode=force_custom_plan -c jit=off -c timezone=UTC "
    "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=60s"
)


class Ledger:
    """A pool of connections to the book. A unit of work is `with ledger.begin() as connection`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, url: str, connections: int = 8) -> "Ledger":
        """A ledger at a SQLAlchemy URL (driver psycopg). Connects when first used."""
        engine = create_engine(
            url,
            pool_size=connections,
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,  # they are texts and numbers of people
            connect_args={"options": _OPTIONS, "connect_timeout": 5, "application_name": "worker"},
        )
        return cls(engine)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error.

        Raises LedgerError where the cause is the place and not the work: no server, no tables.
        """
        with explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One transaction that sees a single instant, for reads that must agree with one another."""
        with self.begin() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@contextmanager
def explained() -> Iterator[None]:
    """Turn 'no server' and 'no tables' into one sentence that says what to do."""
    try:
        yield
    except ProgrammingError as problem:
        if getattr(problem.orig, "sqlstate", None) in ("42P01", "42703"):  # no such table, no such column
            raise LedgerError("the database is not migrated; run: worker db upgrade") from problem
        raise
    except OperationalError as problem:
        if getattr(problem.orig, "sqlstate", None) is None:  # libpq never reached a server
            raise LedgerError(f"the database cannot be reached: {first_line(problem)}") from problem
        raise


def first_line(problem: DBAPIError) -> str:
    """What the driver said, without the statement."""
    return str(problem.orig).strip().splitlines()[0]
