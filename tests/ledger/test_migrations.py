"""Migrations and schema: a way up and one down, and no drift. What a ledger says when it cannot be used."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.domain.validation import client_id_of
from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.migrate import (
    _run,
    behind,
    check_migrated,
    downgrade,
    head,
    migrations,
    upgrade,
    upgraded,
)
from bulk_dispatch.ledger.queries import books, revision
from bulk_dispatch.ledger.schema import metadata
from bulk_dispatch.ledger.transitions import Conflict, Transition, enqueue, settle
from bulk_dispatch.ledger.transitions.transition import apply
from tests.conftest import Setup
from tests.factories import message, messages
from tests.ledger.book import LOOK, Book, at_once, eventually
from tests.ledger.test_audit import Author, audited

# -- up and down -----------------------------------------------------------------------------------------

LOOKS: dict[str, str] = {
    "columns": """
        SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default,
               is_identity, identity_generation, collation_name
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, convalidated, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": """
        SELECT c.relname, i.indisvalid, pg_get_indexdef(c.oid)
        FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace
    """,
    "sequences": """
        SELECT sequencename, data_type,
               CASE WHEN sequencename <> 'message_reference' THEN start_value END,  -- as the clock has it
               min_value, max_value, increment_by, cycle, cache_size
        FROM pg_sequences WHERE schemaname = 'public'
    """,
    "others": """
        SELECT c.relname, c.relkind, c.reloptions::text FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
    """,
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "triggers and functions": """
        SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
}


def described(ledger: Ledger) -> dict[str, set[Any]]:
    """All that makes a schema, without Alembic's own table."""
    with ledger.begin() as connection:
        return {
            name: {tuple(row) for row in connection.execute(text(look)) if "alembic_version" not in str(row)}
            for name, look in LOOKS.items()
        }


@pytest.mark.slow
def test_a_database_goes_up_down_to_nothing_and_up_again(bare: Ledger) -> None:
    assert behind(bare) == ("", head())

    assert upgrade(bare) == head()
    first = described(bare)
    assert first["columns"]
    assert behind(bare) == (head(), head())

    downgrade(bare, "base")
    assert described(bare) == {name: set() for name in LOOKS}
    assert behind(bare) == ("", head())

    assert upgrade(bare) == head()
    assert described(bare) == first
    assert Book(bare).enqueue(messages(2)).new == 2


def test_upgrading_what_is_up_to_date_changes_nothing(ledger: Ledger) -> None:
    before = described(ledger)

    assert upgrade(ledger) == head()

    assert described(ledger) == before


def test_two_upgrading_at_once_end_well(bare_url: str) -> None:
    ledgers = [Ledger.connect(bare_url) for _ in range(3)]

    reached = at_once([lambda ledger=ledger: upgrade(ledger) for ledger in ledgers])  # type: ignore[misc]

    assert reached == [head()] * 3
    for ledger in ledgers:
        ledger.close()


def test_alembic_finds_nothing_to_add_to_a_migrated_database(ledger: Ledger) -> None:
    options = {"compare_type": True, "compare_server_default": True}
    with ledger.begin() as connection:
        context = MigrationContext.configure(connection, opts=options)

        assert compare_metadata(context, metadata) == []


def test_a_migrated_database_is_the_schema_to_the_letter(ledger: Ledger, bare: Ledger) -> None:
    with bare.begin() as connection:
        metadata.create_all(connection)

    migrated, created = described(ledger), described(bare)

    for name in LOOKS:
        assert migrated[name] == created[name], name
    assert all(
        migrated[name] for name in ("columns", "constraints", "indexes", "sequences", "others", "views")
    )


# -- our ids at the providers ------------------------------------------------------------------------------


def begins(ledger: Ledger) -> int:
    """Where the ids begin, as the ledger remembers it."""
    with ledger.begin() as connection:
        found = text("SELECT start_value FROM pg_sequences WHERE sequencename = 'message_reference'")
        return int(connection.execute(found).scalar_one())


def references(ledger: Ledger) -> list[int]:
    with ledger.begin() as connection:
        return list(connection.execute(text("SELECT reference FROM messages ORDER BY id")).scalars())


@pytest.mark.slow
def test_a_new_ledger_begins_in_a_range_of_its_own_and_remembers_it(bare: Ledger) -> None:
    upgrade(bare)
    earlier = begins(bare)
    downgrade(bare, "base")
    upgrade(bare)

    upgrade(bare)  # as at every start
    assert Book(bare).enqueue(messages(2)).new == 2

    assert references(bare) == [begins(bare), begins(bare) + 1]
    for first in (earlier, begins(bare)):
        assert 2**29 <= first < 2**29 + 2**30, "room for half a billion below what any id field holds"
    assert abs(begins(bare) - earlier) > 1000


def test_a_ledger_that_has_given_ids_goes_on_with_them(bare: Ledger) -> None:
    upgrade(bare, before("collisions"))
    book = Book(bare)
    book.do(_enter_as_before)

    upgrade(bare)

    book.enqueue(messages(3)[1:])
    assert references(bare) == [1, 2, 3]


def _enter_as_before(connection: Connection) -> None:
    connection.execute(
        text("""
            INSERT INTO messages (client_id, status, lane, kind, route, recipient, sender, text, due_at)
            VALUES ('client-1', 'queued', 'bulk', 'sms', 'alpha', '+380931110001', 'Shop', 'one', now())
        """)
    )


def test_what_collided_keeps_its_ledger_from_going_down(bare: Ledger) -> None:
    upgrade(bare)
    book = Book(bare)
    package = book.package(messages(1))
    held = Transition(package.items[0].id, package.id, Status.IN_DOUBT)
    book.do(settle, [], {package.id: LOOK}, collided=[held])

    with pytest.raises(CommandError, match="1 messages collided"):
        downgrade(bare, before("collisions"))


# -- the suppression list, and the queue
# ------------------------------------------------------------------------


def listed(ledger: Ledger) -> dict[str, tuple[str, str | None]]:
    """Number to the day it was added and why."""
    with ledger.begin() as connection:
        renamed = connection.execute(text("SELECT to_regclass('suppressions')")).scalar_one()
        table = "suppressions" if renamed else "stop_list"  # as it was named before
        rows = connection.execute(text(f"SELECT * FROM {table} ORDER BY recipient"))
        return {number: (f"{added_at:%m-%d}", reason) for number, added_at, reason in rows}


def put_on_the_list(ledger: Ledger, *rows: tuple[str, str, str | None]) -> None:
    with ledger.begin() as connection:
        connection.execute(
            text("INSERT INTO stop_list (recipient, added_at, why) VALUES (:number, :day, :why)"),
            [{"number": number, "day": f"2026-{day} 12:00+00", "why": why} for number, day, why in rows],
        )


def test_numbers_of_the_stop_list_become_e164_and_those_that_become_one_are_told(bare: Ledger) -> None:
    upgrade(bare, before("stops_hold"))
    put_on_the_list(
        bare,
        ("+380931110001", "03-02", "asked"),
        ("+3800931110001", "03-01", "asked by phone"),
        ("+4407911123456", "03-03", None),
        ("+393331234567", "03-04", "as it was"),
        ("+99912345678", "03-05", "nowhere"),
        ("+5215512345678", "03-06", None),
    )

    done = upgraded(bare, revision_of("stops_hold"))

    assert listed(bare) == {
        "+380931110001": ("03-01", "asked by phone; asked"),
        "+447911123456": ("03-03", None),
        "+393331234567": ("03-04", "as it was"),
        "+99912345678": ("03-05", "nowhere"),
        "+5215512345678": ("03-06", None),
    }
    assert done.told == (
        "stop list: 2 rows (+38009…01, +38093…01) are one number, +38093…01, and one row now",
        "stop list: +99912…78 is no number that may exist; it stays as it is",
        "stop list: +52155…78 is no number that may exist; it stays as it is",
    )
    assert upgraded(bare, revision_of("stops_hold")).told == ()


def test_what_is_queued_for_a_number_that_is_written_anew_meets_the_list(bare: Ledger) -> None:
    upgrade(bare)
    book = Book(bare)
    book.enqueue(messages(2))
    downgrade(bare, before("stops_hold"))
    book.rows(
        "UPDATE messages SET recipient = '+3800931110001' WHERE client_id = 'client-1' RETURNING 1"
    )  # as it was read before
    put_on_the_list(bare, ("+3800931110001", "03-01", None))

    upgrade(bare)

    assert book.claim().suppressed == 1
    assert book.statuses() == {"client-1": "suppressed", "client-2": "sending"}


def test_a_list_with_nothing_amiss_is_left_alone_and_nothing_is_told(bare: Ledger) -> None:
    upgrade(bare, before("stops_hold"))
    put_on_the_list(bare, ("+380931110001", "03-02", "asked"))

    assert upgraded(bare).told == ()
    assert listed(bare) == {"+380931110001": ("03-02", "asked")}


def test_many_that_become_one_are_counted_and_not_all_told(bare: Ledger) -> None:
    upgrade(bare, before("stops_hold"))
    for trunk, day in (("", "03-02"), ("0", "03-01")):
        put_on_the_list(bare, *((f"+380{trunk}93{n:07d}", day, None) for n in range(150)))

    told = upgraded(bare, revision_of("stops_hold")).told

    assert len(told) == 101
    assert told[-1] == "stop list: 50 numbers more stood in several rows"
    assert {day for day, _ in listed(bare).values()} == {"03-01"}
    assert len(listed(bare)) == 150


def test_what_is_queued_under_an_old_spelling_is_written_anew_whether_the_list_has_that_or_not(
    bare: Ledger,
) -> None:
    upgrade(bare)
    book = Book(bare)
    book.bring([message(1)], Status.SENT)
    book.enqueue([message(n) for n in range(2, 6)])
    downgrade(bare, before("stops_hold"))
    for name, recipient in (
        ("client-1", "+3800931110001"),  # has left
        ("client-2", "+3800931110001"),  # as it was read before
        ("client-3", "+3800931110001"),
        ("client-4", "+99912345678"),  # nowhere
        ("client-5", "+3931110001"),  # as it is
    ):
        book.rows(
            "UPDATE messages SET recipient = :recipient WHERE client_id = :name RETURNING 1",
            recipient=recipient,
            name=name,
        )
    put_on_the_list(bare, ("+380931110001", "03-01", None))

    done = upgraded(bare, revision_of("stops_hold"))

    assert done.told == ("queue: the numbers of 2 messages are written otherwise now",)
    kept = book.rows("SELECT client_id, recipient FROM messages")
    assert {row.client_id: row.recipient for row in kept} == {
        "client-1": "+3800931110001",
        "client-2": "+380931110001",
        "client-3": "+380931110001",
        "client-4": "+99912345678",
        "client-5": "+3931110001",
    }
    upgrade(bare)
    assert book.claim().suppressed == 2


def test_the_way_back_keeps_the_numbers_and_is_refused_where_it_has_no_words_for_what_is_there(
    bare: Ledger,
) -> None:
    upgrade(bare)
    book = Book(bare)
    book.enqueue(messages(1))
    book.suppress([message(1).recipient])
    assert book.claim().suppressed == 1

    with pytest.raises(
        CommandError, match=r"^1 messages were suppressed while queued, which version 0006 has"
    ):
        downgrade(bare, before("stops_hold"))
    assert behind(bare) == (head(), head())
    book.rows("DELETE FROM journal WHERE to_status = 'suppressed' RETURNING 1")
    downgrade(bare, before("stops_hold"))

    assert list(listed(bare)) == [message(1).recipient]
    assert upgrade(bare) == head()


# -- events, and the journal in their stead ---------------------------------------------------------------


def test_a_history_is_kept_on_the_way_to_the_journal_and_back(bare: Ledger) -> None:
    upgrade(bare)
    book = Book(bare)
    Author(book).write()
    told, packages, collided = _histories(book), _earlier(book), _collided(book)

    downgrade(bare, before("journal"))
    assert _histories(book) == told
    upgrade(bare)

    assert _histories(book) == told
    assert _collided(book) == collided != []
    assert _earlier(book) == packages
    assert audited(book) == ()


def _histories(book: Book) -> list[Any]:
    return book.rows("""
        SELECT message_id, type, from_status, to_status, package_id, code, note, at, happened_at
        FROM events ORDER BY message_id, id
    """)


def _earlier(book: Book) -> dict[int, Any]:
    return {row.id: row.earlier_packages for row in book.rows("SELECT id, earlier_packages FROM messages")}


def _collided(book: Book) -> list[Any]:
    return book.rows("SELECT id FROM messages WHERE collided ORDER BY id")


# -- ids that look the same ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["old", "a b", " old", "old ", "old\u00a0", "ol\u200bd", "\ufeffold", "e\u0301", "\u00e9", "\u1112\u1161",
     "о\u0306ld", "\u2003x", "a\u034f\u0301", "\u1160x", "order\u00a01", "\ufe0f1", "!", "~",
     "\u202aold\u202c"],
)  # fmt: skip
def test_the_ledger_s_ids_are_read_as_those_that_come_in(written: str) -> None:
    migration = scripts().get_revision(revision_of("ids_that_look_the_same")).module

    assert migration.normal(written) == client_id_of(written)
    if re.fullmatch(migration.PLAIN.strip("'"), written):
        assert client_id_of(written) == written


def renamed(book: Book, **names: str) -> None:
    """Give messages and conflicts ids as they were kept before; _ stands for the dash in those they have."""
    for name, written in names.items():
        for table in ("messages", "conflicts"):
            book.rows(
                f"UPDATE {table} SET client_id = :written WHERE client_id = :name RETURNING 1",
                written=written,
                name=name.replace("_", "-"),
            )


def test_ids_from_before_are_read_as_they_are_now_and_the_same_file_sends_nothing_again(bare: Ledger) -> None:
    upgrade(bare)
    book = Book(bare)
    book.bring([message(1)], Status.SENT)
    book.bring([message(2)], Status.REJECTED)
    book.enqueue([message(2, text="Better"), message(1, text="Other"), message(3, producer="shop")])
    downgrade(bare, before("ids_that_look_the_same"))
    renamed(book, client_1="old ", client_2="e\u0301", client_3="\u200bnew")
    book.rows("UPDATE messages SET producer = 'shop ' WHERE producer = 'shop' RETURNING 1")

    assert upgraded(bare).told == ()

    again = [
        message(1, client_id="old "),
        message(2, client_id="e\u0301", text="Better"),
        message(3, client_id="\u200bnew", producer="shop "),
    ]
    entered = book.enqueue(again)
    assert (entered.new, entered.duplicates, entered.corrected) == (0, 3, 0)
    assert book.rows("SELECT client_id FROM conflicts") == [("old",)]
    assert book.rows("SELECT count(*) FROM messages WHERE client_id = '\u00e9'") == [(2,)]


@pytest.mark.slow
def test_an_id_whose_normal_form_is_taken_stays_as_it_is_and_is_told(bare: Ledger) -> None:
    upgrade(bare)
    book = Book(bare)
    book.enqueue([*messages(5), message(1, text="Other"), message(6, producer="shop")])
    downgrade(bare, before("ids_that_look_the_same"))
    renamed(book, client_1="old ", client_2="old", client_3=" new", client_4="new ", client_6="old\u200b")
    renamed(book, client_5="\u200b")

    [told] = upgraded(bare).told

    assert told.startswith("messages: 2 client ids look like another of their producer and stay as they are")
    kept = {tuple(row) for row in book.rows("SELECT client_id, producer, recipient FROM messages")}
    assert {(name, producer) for name, producer, _ in kept} == {
        ("old ", ""), ("old", ""), ("new", ""), ("new ", ""), ("\u200b", ""), ("old", "shop"),
    }  # fmt: skip
    assert ("new", "", message(3).recipient) in kept  # the one that came first
    assert book.rows("SELECT client_id FROM conflicts") == [("old ",)]
    downgrade(bare, before("ids_that_look_the_same"))
    assert upgrade(bare) == head()


# -- the files -------------------------------------------------------------------------------------------


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    return ScriptDirectory.from_config(config)


def test_there_is_one_head() -> None:
    assert scripts().get_heads() == [head()]
    assert len(scripts().get_bases()) == 1


def test_files_are_numbered_by_their_revision_without_a_gap() -> None:
    found = sorted(scripts().walk_revisions(), key=lambda script: script.revision)

    for number, script in enumerate(found, 1):
        assert script.revision == f"{number:04d}"
        assert re.fullmatch(rf"{script.revision}_[a-z0-9]+(_[a-z0-9]+)*\.py", Path(script.path).name)
        assert script.down_revision == (f"{number - 1:04d}" if number > 1 else None)
        assert script.doc
    files = {path.name for path in (migrations() / "versions").glob("*.py")}
    assert files == {Path(script.path).name for script in found}


def revision_of(name: str) -> str:
    """The revision of the migration of this name."""
    [found] = [script for script in scripts().walk_revisions() if script.path.endswith(f"_{name}.py")]
    return str(found.revision)


# -- producers and corrections, with messages in the ledger ----------------------------------------------


def before(name: str) -> str:
    """The revision before the migration of this name."""
    [found] = [script for script in scripts().walk_revisions() if script.path.endswith(f"_{name}.py")]
    assert isinstance(found.down_revision, str)
    return found.down_revision


def test_messages_from_before_producers_keep_their_ids_and_may_be_corrected(ledger: Ledger) -> None:
    book = Book(ledger)
    book.bring([message(1)], Status.SENT)
    book.bring([message(2)], Status.REJECTED)
    book.enqueue([message(1, text="Other")])
    downgrade(ledger, before("producers_and_corrections"))

    upgrade(ledger)

    entered = book.enqueue([message(1), message(1, producer="shop"), message(2, text="Better")])
    assert (entered.new, entered.duplicates, entered.corrected) == (2, 1, 1)
    assert book.enqueue([message(1, text="Other")]).conflicts == (Conflict("client-1", ("text",)),)
    assert book.books().conflicts == 1  # as recorded before
    assert book.books().balanced


def _has_producer(book: Book) -> None:
    book.enqueue([message(1, producer="shop")])


def _has_correction(book: Book) -> None:
    book.bring([message(1)], Status.REJECTED)
    book.enqueue([message(1, text="Better")])


@pytest.mark.parametrize(
    ("use", "said"),
    [(_has_producer, "1 messages have a producer"), (_has_correction, "1 messages were corrected")],
)
def test_the_version_before_producers_is_refused_where_it_has_no_words_for_what_is_there(
    ledger: Ledger, use: Callable[[Book], None], said: str
) -> None:
    book = Book(ledger)
    use(book)

    with pytest.raises(CommandError, match=f"^{said}"):
        downgrade(ledger, before("producers_and_corrections"))

    assert behind(ledger) == (head(), head())
    assert book.books().balanced


# -- a ledger that cannot be used ------------------------------------------------------------------------

NOT_MIGRATED = "the database is not migrated; run: worker db upgrade"


@pytest.mark.parametrize(
    "work",
    [books, lambda connection: enqueue(connection, messages(1))],
    ids=["a read", "a write"],
)
def test_a_database_that_is_not_migrated_says_what_to_do(bare: Ledger, work: Callable[..., Any]) -> None:
    with pytest.raises(LedgerError) as caught, bare.begin() as connection:
        work(connection)

    assert str(caught.value) == NOT_MIGRATED


def test_a_snapshot_of_a_database_that_is_not_migrated_says_what_to_do(bare: Ledger) -> None:
    with pytest.raises(LedgerError) as caught, bare.snapshot() as connection:
        books(connection)

    assert str(caught.value) == NOT_MIGRATED


def test_a_database_of_an_older_migration_says_what_to_do(bare: Ledger) -> None:
    upgrade(bare)
    with bare.begin() as connection:
        connection.execute(text("ALTER TABLE messages DROP COLUMN flow_id"))

    with pytest.raises(LedgerError) as caught:
        Book(bare).enqueue(messages(1))

    assert str(caught.value) == NOT_MIGRATED


def test_what_lacks_a_migration_is_refused_before_anything_leaves(bare: Ledger) -> None:
    with pytest.raises(LedgerError) as caught:
        check_migrated(bare)
    assert str(caught.value) == f"the database is not migrated, {head()} is expected; run: worker db upgrade"

    upgrade(bare)
    downgrade(bare, "0004")
    with pytest.raises(LedgerError) as caught:
        check_migrated(bare)
    assert str(caught.value) == f"the database stands at 0004, {head()} is expected; run: worker db upgrade"


def test_a_worker_begins_nothing_on_what_lacks_a_migration(setup: Setup, ledger: Ledger) -> None:
    downgrade(ledger, "0004")

    with pytest.raises(LedgerError, match="stands at 0004"):
        setup.runtime(alpha={"url": "http://127.0.0.1:9"})

    upgrade(ledger)
    assert setup.runtime(alpha={"url": "http://127.0.0.1:9"}).routes.keys() == {"alpha"}


def test_what_is_ahead_will_do_for_workers_alone(bare: Ledger) -> None:
    upgrade(bare)
    with bare.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    check_migrated(bare, or_ahead=True)
    with pytest.raises(LedgerError, match="stands at 9999"):
        check_migrated(bare)


@pytest.mark.slow
def test_an_upgrade_waits_for_a_long_read_only_so_long(bare: Ledger) -> None:
    """Else whoever comes to the table after it waits as well."""
    upgrade(bare)
    downgrade(bare, "0004")
    with bare.begin() as reading:
        reading.execute(text("SELECT FROM routes"))

        with pytest.raises(LedgerError, match=r"the database cannot do it now: .*lock timeout"):
            upgrade(bare)

    assert upgrade(bare) == head()


def test_an_upgrade_may_think_as_long_as_it_must(bare: Ledger) -> None:
    """A million numbers are read with no word to the server, which ends others that idle."""
    found: list[str] = []

    def look(config: Config) -> None:
        connection = config.attributes["connection"]
        found.append(connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one())

    _run(bare, look)

    assert found == ["0"]


def test_where_a_database_stands_can_be_asked_of_any(bare: Ledger, ledger: Ledger) -> None:
    with bare.begin() as connection:
        assert revision(connection) == ""
    with ledger.begin() as connection:
        assert revision(connection) == head()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://anna:s3cret@127.0.0.1:1/worker",
        "postgresql+psycopg://anna:s3cret@localhost:1/worker",
        "postgresql+psycopg://anna:s3cret@nowhere.invalid/worker",
        "postgresql+psycopg://anna:s3cret@/worker?host=/nonexistent",
        "postgresql+psycopg://127.0.0.1:1/worker?user=anna&password=s3cret",
        "postgresql+psycopg://anna:s3cret@/worker?host=127.0.0.1,127.0.0.1&port=1,2",
    ],
)
def test_a_server_that_is_not_there_is_one_sentence_without_a_credential(address: str) -> None:
    ledger = Ledger.connect(address)

    with pytest.raises(LedgerError, match=r"^the database cannot be reached: .") as caught, ledger.begin():
        pass

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    ledger.close()


def test_a_database_that_is_not_on_the_server_is_one_sentence(database_url: str) -> None:
    ledger = Ledger.connect(re.sub(r"/[^/?]+\?", "/nobody?", database_url))

    with pytest.raises(LedgerError, match=r'cannot be reached: .*"nobody" does not exist') as caught:
        ledger.begin().__enter__()

    assert "\n" not in str(caught.value)
    ledger.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense s3cret",
        "mysql://anna:s3cret@host/db",
        "sqlite://",
        "postgresql+nodriver://anna:s3cret@host/db",
        "postgresql+psycopg://anna:s3cret@host:port/db",
    ],
)
def test_an_address_that_is_none_is_one_sentence_without_a_credential(address: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.connect(address)

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_ends_our_connection_in_the_midst_of_work_is_one_sentence(
    ledger: Ledger, other: Book
) -> None:
    """As it does when it is shut down."""

    def cut_off(connection: Connection) -> None:
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.rows("SELECT pg_terminate_backend(:mine)", mine=mine)
        eventually(lambda: not other.rows("SELECT 1 FROM pg_stat_activity WHERE pid = :mine", mine=mine))
        connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerError, match=r"^the database cannot be reached: .") as caught:
        Book(ledger).do(cut_off)

    assert "\n" not in str(caught.value)
    with ledger.begin() as connection:  # and the next unit of work gets a good one
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_what_is_wrong_with_the_work_itself_travels_up_untouched(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError, match="division by zero"), ledger.begin() as connection:
        connection.execute(text("SELECT 1 / 0"))


# -- what an error may say -------------------------------------------------------------------------------

TEXT, NUMBER = "Your code is 271828", "+380931234567"


def _packed(connection: Any) -> None:
    enqueue(connection, [message(1, text=TEXT, recipient=NUMBER)])
    number = connection.execute(text("SELECT id FROM messages")).scalar_one()
    apply(connection, EventType.CLAIM, [Transition(number, None, Status.SENDING)])


def _twice(connection: Any) -> None:
    insert = text("INSERT INTO suppressions (recipient) VALUES (:recipient)")
    connection.execute(insert, {"recipient": NUMBER})
    connection.execute(insert, {"recipient": NUMBER})


def _null(connection: Any) -> None:
    connection.execute(
        text("""
            INSERT INTO messages (client_id, status, due_at, lane, kind, route, recipient, sender, text)
            VALUES (NULL, 'queued', now(), 'bulk', 'sms', 'alpha', :recipient, 'Shop', :text)
        """),
        {"recipient": NUMBER, "text": TEXT},
    )


def _many(connection: Any) -> None:
    connection.execute(
        text("INSERT INTO suppressions (recipient) VALUES (:recipient)"), [{"recipient": NUMBER}] * 2
    )


def _json(connection: Any) -> None:
    connection.execute(
        text("""
            INSERT INTO conflicts (client_id, fields, offered, digest)
            VALUES ('a', 'text', CAST(:offered AS jsonb), '')
        """),
        {"offered": f'{{"text": "{TEXT}", "recipient": "{NUMBER}\\u0000"}}'},
    )


def _nul(connection: Any) -> None:
    connection.execute(
        text("INSERT INTO suppressions (recipient, reason) VALUES (:recipient, :reason)"),
        {"recipient": NUMBER, "reason": f"{TEXT}\0"},
    )


@pytest.mark.parametrize("work", [_packed, _twice, _null, _many, _json, _nul])
def test_an_error_of_the_database_holds_no_text_and_no_number(
    ledger: Ledger, work: Callable[[Any], None]
) -> None:
    with pytest.raises(DBAPIError) as caught, ledger.begin() as connection:
        work(connection)

    whole = "".join(traceback.format_exception(caught.value))
    assert TEXT not in whole
    assert NUMBER not in whole
    assert "parameters hidden" in str(caught.value)


def test_an_error_still_says_what_was_violated(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError, match="ck_messages_packed") as caught, ledger.begin() as connection:
        _packed(connection)

    assert getattr(caught.value.orig, "sqlstate", None) == "23514"
