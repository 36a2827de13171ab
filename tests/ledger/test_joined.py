"""Messages written inside the transaction of an application, whichever library holds it."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import django
import django.db
import psycopg
import pytest
import sqlalchemy.exc
from django.conf import settings as django_settings
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from bulk_dispatch import ClientIdConflict, Dispatcher
from bulk_dispatch.domain.content import WapPush
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.joined import engine
from tests.conftest import Setup
from tests.factories import message
from tests.guards.page import blocks
from tests.guards.repository import text as page
from tests.ledger.book import Book

Opens = Callable[[str], AbstractContextManager[Any]]
"""Opens a connection at a URL of SQLAlchemy's; it is committed when all went well, else rolled back."""


@pytest.fixture
def dispatcher(setup: Setup) -> Iterator[Dispatcher]:
    with closing(Dispatcher(setup.routes(alpha={"url": "http://127.0.0.1:9"}))) as dispatcher:
        yield dispatcher


@pytest.fixture
def book(ledger: Ledger) -> Book:
    return Book(ledger)


def libpq(url: str) -> str:
    return url.replace("+psycopg", "")


@contextmanager
def opened_engine(url: str) -> Iterator[Engine]:
    own = create_engine(url)
    try:
        yield own
    finally:
        own.dispose()


@contextmanager
def _connection(url: str) -> Iterator[Any]:
    with opened_engine(url) as own, own.begin() as connection:
        yield connection


@contextmanager
def _session(url: str) -> Iterator[Any]:
    with opened_engine(url) as own, Session(own) as session, session.begin():
        yield session


@contextmanager
def _scoped_session(url: str) -> Iterator[Any]:
    with opened_engine(url) as own:
        sessions = scoped_session(sessionmaker(own))
        try:
            with sessions.begin():
                yield sessions
        finally:
            sessions.remove()


@contextmanager
def _psycopg(url: str) -> Iterator[Any]:
    with psycopg.connect(libpq(url)) as connection:
        yield connection


@contextmanager
def _psycopg_dict_row(url: str) -> Iterator[Any]:
    with psycopg.connect(libpq(url), row_factory=dict_row) as connection:
        yield connection


@contextmanager
def _psycopg_autocommit(url: str) -> Iterator[Any]:
    with psycopg.connect(libpq(url), autocommit=True) as connection, connection.transaction():
        yield connection


@contextmanager
def _django(url: str) -> Iterator[Any]:
    from django.db import transaction

    with closing(_django_connection(url)) as connection, transaction.atomic(using="default"):
        yield connection


def _django_connection(url: str) -> Any:
    parts = psycopg.conninfo.conninfo_to_dict(libpq(url))
    names = {"NAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    found = {name: str(parts.get(key) or "") for name, key in names.items()}
    if not django_settings.configured:
        django_settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **found}},
            USE_TZ=True,
            TIME_ZONE=None,
        )
        django.setup()
    from django.db import connection

    connection.settings_dict["OPTIONS"] = {"options": str(parts.get("options", ""))}
    return connection


WAYS: dict[str, Opens] = {
    "connection of SQLAlchemy": _connection,
    "session of SQLAlchemy": _session,
    "scoped session of SQLAlchemy": _scoped_session,
    "psycopg": _psycopg,
    "psycopg with rows as dicts": _psycopg_dict_row,
    "psycopg with autocommit, in a transaction": _psycopg_autocommit,
    "Django": _django,
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def opens(request: pytest.FixtureRequest) -> Opens:
    """As the first that this process has to do with."""
    engine.cache_clear()
    way: Opens = request.param
    return way


def test_a_message_is_there_once_the_caller_has_committed(
    opens: Opens, database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    with opens(database_url) as theirs:
        dispatcher.enqueue(message(1), connection=theirs)
        dispatcher.enqueue(message(2), connection=theirs)
        assert book.statuses() == {}

    assert book.statuses() == {"client-1": Status.QUEUED, "client-2": Status.QUEUED}
    assert book.books().balanced


def test_a_message_never_was_if_the_caller_rolls_back(
    opens: Opens, database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    def fails() -> None:
        with opens(database_url) as theirs:
            dispatcher.enqueue(message(1), connection=theirs)
            raise LookupError

    with pytest.raises(LookupError):
        fails()

    assert book.statuses() == {}


def test_what_the_caller_does_before_and_after_is_in_the_same_transaction(
    database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    with psycopg.connect(libpq(database_url), row_factory=dict_row) as theirs:
        first = theirs.execute("SELECT txid_current() AS id").fetchone()
        dispatcher.enqueue(message(1), connection=theirs)
        assert theirs.execute("SELECT txid_current() AS id").fetchone() == first
        theirs.rollback()

    assert book.statuses() == {}


ERRORS = {
    "connection of SQLAlchemy": sqlalchemy.exc.DBAPIError,
    "session of SQLAlchemy": sqlalchemy.exc.DBAPIError,
    "scoped session of SQLAlchemy": sqlalchemy.exc.DBAPIError,
    "Django": django.db.OperationalError,
}
"""What the library raises when the database refuses; psycopg for the others."""


@pytest.mark.parametrize("way", WAYS)
def test_what_the_database_refuses_is_an_error_of_the_caller_s_library_without_a_text(
    way: str, database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    with book.ledger.engine.connect() as other:
        other.exec_driver_sql("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(ERRORS.get(way, psycopg.errors.LockNotAvailable)) as caught:
            enqueue_without_waiting(WAYS[way], database_url, dispatcher)

    assert message(1).text not in "".join(traceback.format_exception(caught.value))


def enqueue_without_waiting(opens: Opens, url: str, dispatcher: Dispatcher) -> None:
    with opens(f"{url}{'&' if '?' in url else '?'}options=-clock_timeout%3D100ms") as theirs:
        dispatcher.enqueue(message(1), connection=theirs)


def test_a_savepoint_that_is_rolled_back_takes_the_message_with_it(
    database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    with psycopg.connect(libpq(database_url)) as theirs:
        dispatcher.enqueue(message(1), connection=theirs)
        with theirs.transaction(force_rollback=True):
            dispatcher.enqueue(message(2), connection=theirs)

    assert book.statuses() == {"client-1": Status.QUEUED}


def test_repeats_and_conflicts_are_told_to_every_caller(
    opens: Opens, database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    """Contents travel as JSON, which applications may have set their connections to read otherwise."""
    first = message(1, text="", content=WapPush("https://shop.example/1"))
    other = message(1, text="", content=WapPush("https://shop.example/2"))
    book.enqueue([first])

    with opens(database_url) as theirs:
        dispatcher.enqueue(first, connection=theirs)
        with pytest.raises(ClientIdConflict):
            dispatcher.enqueue(other, connection=theirs)

    found = book.books()
    assert (found.total, found.duplicates, found.conflicts) == (1, 1, 1)


def test_a_connection_that_is_none_is_named(dispatcher: Dispatcher) -> None:
    with pytest.raises(TypeError) as caught:
        dispatcher.enqueue(message(1), connection=object())  # type: ignore[arg-type]

    assert str(caught.value) == (
        "connection: builtins.object is not taken; it must be a connection or session of SQLAlchemy, "
        "a connection of psycopg, or Django's with psycopg 3"
    )


def test_outside_a_transaction_nothing_is_written(
    database_url: str, dispatcher: Dispatcher, book: Book
) -> None:
    with (
        psycopg.connect(libpq(database_url), autocommit=True) as one,
        closing(_django_connection(database_url)) as other,
        opened_engine(database_url) as own,
        own.execution_options(isolation_level="AUTOCOMMIT").connect() as third,
    ):
        for theirs in (one, other, third):
            with pytest.raises(ValueError, match="it commits each statement by itself; begin a transaction"):
                dispatcher.enqueue(message(1), connection=theirs)

    assert book.statuses() == {}


# -- rights


def test_the_rights_of_the_page_are_enough_for_a_producer(
    own_database_url: str, dispatcher: Dispatcher
) -> None:
    page_blocks = blocks(page("docs/how-to/send-from-an-application.md"))
    [grants] = [block.body for block in page_blocks if block.kind == "sql"]
    with closing(Ledger.connect(own_database_url)) as ledger:
        book = Book(ledger)
        with psycopg.connect(libpq(own_database_url)) as owner:
            owner.execute("DROP ROLE IF EXISTS shop")
            owner.execute("CREATE ROLE shop")
            owner.execute(grants.encode())
        book.bring([message(1)], Status.REJECTED)

        with psycopg.connect(libpq(own_database_url)) as theirs:
            theirs.execute("SET ROLE shop")
            dispatcher.enqueue(message(1, text="Better"), connection=theirs)
            dispatcher.enqueue(message(2), connection=theirs)
            dispatcher.enqueue(message(2), connection=theirs)
            with pytest.raises(ClientIdConflict):
                dispatcher.enqueue(message(2, text="Other"), connection=theirs)
            theirs.commit()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                theirs.execute("UPDATE messages SET text = 'Mine'")

        found = book.books()
        assert (found.total, found.duplicates, found.conflicts, found.balanced) == (3, 1, 1, True)
        with psycopg.connect(libpq(own_database_url)) as owner:
            owner.execute("DROP OWNED BY shop")
            owner.execute("DROP ROLE shop")
