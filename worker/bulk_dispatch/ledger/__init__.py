"""The book: every message, package and event, in PostgreSQL. All SQL lives in this room."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    StatementError,
)

from bulk_dispatch.ledger.bulk_params import ColumnDumper
from bulk_dispatch.ledger.connection import KERNEL, ProbingConnection
from bulk_dispatch.ledger.server import (
    LEAST,
    LedgerError,
    LedgerRefusedError,
    TooOldError,
    check_version,
    server_settings,
)

__all__ = ["REFUSALS", "Connection", "Ledger", "LedgerError", "LedgerRefusedError", "TooOldError"]

REFUSALS = (DataError, IntegrityError)
"""What is raised when the database refuses a value: the fault is in the row, not in the place."""


# Generic plans are made once, for the table as it is then; a plan made for an empty table reads all of a
# full one. Planning anew costs 0.3 ms a statement, and a statement carries a thousand rows.
# A client lost in a silent network, or held still, keeps its locks until the server takes it for gone, the
# route's and the turn of bulk claims among them: within 10 s, so that the others go on. No transaction of
# ours pauses for long between statements.
_OPTIONS = (
    "-c plan_cache_mode=force_custom_plan -c jit=off -c timezone=UTC "
    "-c statement_timeout=60s -c lock_timeout=5s -c idle_in_transaction_session_timeout=10s "
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=10s"
)


class Ledger:
    """A pool of connections to the book. A unit of work is `with ledger.begin() as connection`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, url: str, connections: int = 8, least: int = LEAST) -> "Ledger":
        """A ledger at a SQLAlchemy URL (driver psycopg). Connects when first used; to a server whose major
        version is below `least` it does not (TooOldError).

        Raises LedgerError for what is no such URL.
        """
        engine = create_engine(
            _address(url),
            pool_size=connections,
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,  # they are texts and numbers of people
            connect_args={
                "options": _OPTIONS,
                "application_name": "worker",
                "client_encoding": "utf8",
                **KERNEL,
            },
        )
        event.listen(engine, "do_connect", _connector(least))
        event.listen(engine, "handle_error", keep_discreet)
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
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # large books take long
            yield connection

    def lacks(self) -> str:
        """What the server's settings lack, in one sentence, for a process that starts; empty if nothing, or
        if it cannot be asked now.

        Raises TooOldError: nobody should wait for a server that will never do.
        """
        try:
            with self.begin() as connection:
                return server_settings(connection).warning
        except TooOldError:
            raise
        except LedgerError:  # it is away: that passes, and what needs it says so
            return ""

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
        if getattr(problem.orig, "sqlstate", None) == "42501":  # insufficient privilege
            raise LedgerRefusedError(f"the database refuses: {first_line(problem)}") from problem
        raise
    except OperationalError as problem:
        # None: libpq never reached a server, or lost it. 57P..: the server is being shut down, or starting.
        if (getattr(problem.orig, "sqlstate", None) or "57P").startswith("57P"):
            raise LedgerError(f"the database cannot be reached: {first_line(problem)}") from problem
        raise LedgerError(f"the database cannot do it now: {first_line(problem)}") from problem


def first_line(problem: DBAPIError) -> str:
    """What the driver said, without the statement."""
    return str(problem.orig).strip().splitlines()[0]


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        address = None
    if address is None or address.drivername != "postgresql+psycopg":
        raise LedgerError("the database's address must look like postgresql://user:password@host:5432/name")
    return address


def _connector(least: int) -> Callable[[object, object, Any, Any], ProbingConnection]:
    """What opens each connection. The server says its version as it greets, so that to ask costs nothing."""

    def connect(_: object, __: object, args: Any, options: Any) -> ProbingConnection:
        connection = ProbingConnection.open(*args, **options)
        try:
            check_version(connection.info.server_version, least)
        except TooOldError:
            connection.close()
            raise
        connection.adapters.register_dumper(list, ColumnDumper)
        return connection

    return connect


def keep_discreet(context: ExceptionContext) -> None:
    """What an engine does with errors: see `hush`."""
    hush(context.original_exception, context.sqlalchemy_exception)


def hush(of_driver: BaseException | None, of_sqlalchemy: StatementError | None) -> None:
    """Leave of an error what it is, not whom it is about: its DETAIL and CONTEXT quote the whole row, and its
    parameters are texts and numbers of people."""
    what = getattr(getattr(of_driver, "diag", None), "message_primary", None)
    if of_driver is not None and what:
        of_driver.args = (what,)
        if of_sqlalchemy is not None:
            of_sqlalchemy.args = (f"({type(of_driver).__name__}) {what}",)
    if of_sqlalchemy is not None:
        of_sqlalchemy.hide_parameters = True
