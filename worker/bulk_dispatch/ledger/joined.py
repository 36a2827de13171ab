"""Somebody else's transaction, joined: what is written exists if and only if they commit.

SQLAlchemy's own connections and sessions are used as they are. A connection of psycopg, which is also what
Django has, is lent to an engine of ours that begins, commits, rolls back and closes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg, PGExecutionContext_psycopg
from sqlalchemy.exc import DBAPIError

from bulk_dispatch.ledger import hush, keep_discreet
from bulk_dispatch.ledger.bulk_params import ColumnDumper
from bulk_dispatch.ledger.server import check_connection, check_version

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

OUTSIDE = "connection: it commits each statement by itself; begin a transaction first"

TAKEN = "a connection or session of SQLAlchemy, a connection of psycopg, or Django's"


class DjangoConnection(Protocol):
    """As much of `django.db.connection` as is used."""

    connection: Any

    def ensure_connection(self) -> None: ...


CallersConnection: TypeAlias = (
    "Connection | Session | scoped_session[Any] | psycopg.Connection[Any] | DjangoConnection"
)


@contextmanager
def joined(theirs: CallersConnection) -> Iterator[Connection]:
    """A connection for statements of ours in the transaction of `theirs`: see TAKEN. It is theirs to end.

    Raises TypeError for what is none of these, ValueError for one outside a transaction, where each statement
    would be committed by itself; TooOldError; and what the library of `theirs` raises when the database
    refuses, so that who tries again for that does so here too.
    """
    known = _of_sqlalchemy(theirs)
    if known is not None:
        check_connection(known)
        if getattr(known.connection.dbapi_connection, "autocommit", False):
            raise ValueError(OUTSIDE)
        with _discreet():
            yield known
        return
    lent = _of_psycopg(theirs)
    check_version(lent.info.server_version)
    before = _LENT.set(lent)
    try:
        with _errors_of(theirs), engine().connect() as connection:
            yield connection
    finally:
        _LENT.reset(before)


@contextmanager
def _discreet() -> Iterator[None]:
    """No text and no number in an error, whatever their engine would show."""
    try:
        yield
    except DBAPIError as problem:
        hush(problem.orig, problem)
        raise


@contextmanager
def _errors_of(theirs: object) -> Iterator[None]:
    """Errors of the database as psycopg raises them, or Django."""
    with getattr(theirs, "wrap_database_errors", nullcontext()):
        try:
            yield
        except DBAPIError as problem:
            raise (problem.orig or problem) from None


def _of_sqlalchemy(theirs: object) -> Connection | None:
    from sqlalchemy.orm import Session, scoped_session  # most applications that get here have loaded it

    if isinstance(theirs, Session | scoped_session):
        return theirs.connection()
    return theirs if isinstance(theirs, Connection) else None


def _of_psycopg(theirs: Any) -> "psycopg.Connection[Any]":
    if hasattr(theirs, "ensure_connection"):  # Django's, which connects when it is first used
        theirs.ensure_connection()
        theirs = theirs.connection
    if not isinstance(theirs, psycopg.Connection):
        kind = f"{type(theirs).__module__}.{type(theirs).__qualname__}"
        raise TypeError(f"connection: {kind} is not taken; it must be {TAKEN} with psycopg 3")
    if theirs.autocommit and theirs.info.transaction_status is TransactionStatus.IDLE:
        raise ValueError(OUTSIDE)
    return theirs


# -- the engine for connections that are lent


class _LentContext(PGExecutionContext_psycopg):
    """Cursors of psycopg's plain kind, whatever theirs are: tuples for rows, and our way to send columns."""

    def create_default_cursor(self) -> Any:
        cursor = psycopg.Cursor(_LENT.get(), row_factory=tuple_row)
        cursor.adapters.register_dumper(list, ColumnDumper)
        return cursor


class LentDialect(PGDialect_psycopg):
    """Leaves the connection, and the transaction that it is in, to whoever lent it."""

    supports_statement_cache = True
    execution_ctx_cls = _LentContext

    def initialize(self, _: Any) -> None:
        """Nothing is asked: our statements are plain text, and the connection knows its server's version."""

    def on_connect(self) -> None:
        """Nothing is set up."""

    def do_begin(self, _: Any) -> None:
        """It is begun."""

    def do_commit(self, _: Any) -> None:
        """Not ours to commit."""

    def do_rollback(self, _: Any) -> None:
        """Not ours to roll back."""

    def do_close(self, _: Any) -> None:
        """Not ours to close."""


_LENT: ContextVar["psycopg.Connection[Any]"] = ContextVar("lent")


@cache
def engine() -> Engine:
    """The engine for connections that are lent: one for all, since it holds none."""
    registry.register("postgresql.lent", __name__, LentDialect.__name__)
    made = create_engine(
        "postgresql+lent://",
        creator=_LENT.get,
        poolclass=NullPool,
        pool_reset_on_return=None,
        use_native_hstore=False,
        hide_parameters=True,  # they are texts and numbers of people
    )
    event.listen(made, "handle_error", keep_discreet)
    return made
