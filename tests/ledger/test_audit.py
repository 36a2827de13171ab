"""The audit: silent whatever the transitions do, and it names the row when anything else wrote."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import CORRECTABLE, Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.audit import Finding, audit
from bulk_dispatch.ledger.invariants import INVARIANTS, VIEWS
from bulk_dispatch.ledger.journal import OF_MESSAGE
from bulk_dispatch.ledger.schema import BLOCK
from bulk_dispatch.ledger.transitions import Package, Transition, settle, split, take_job
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.conftest import database
from tests.factories import message
from tests.ledger.book import LEASE, LONG_AGO, LOOK, ONE_BY_ONE, Book
from tests.ledger.test_books import STEPS, Life


def audited(book: Book) -> tuple[Finding, ...]:
    """What is broken, at one instant."""
    with book.ledger.snapshot() as connection:
        return audit(connection)


# -- a ledger in which everything has happened -------------------------------------------------------


@dataclass
class Author:
    """Writes a book by legal transitions only. Messages are named for what became of them: sent-1, sent-2."""

    book: Book
    number: int = 0

    def pair(self, what: str, **changes: object) -> list[Message]:
        """Two new messages."""
        self.number += 2
        return [
            message(self.number + n, client_id=f"{what}-{n}", **{"text": "Hello", **changes}) for n in (1, 2)
        ]

    def package(self, what: str) -> Package:
        """Two new messages in an open package."""
        return self.book.package(self.pair(what))

    def write(self) -> None:
        """Every status, every state of a package, and every way a package comes apart."""
        for status in set(Status) - {Status.QUEUED}:
            late = LONG_AGO if status is Status.EXPIRED else None
            self.book.bring(self.pair(status.value, valid_until=late), status)
        mistaken = self._mistaken()
        self._numbered()
        self._in_parts()
        self._jobs()
        self._again()
        self.book.bring(self.pair("beta", route="beta"), Status.DELIVERED)
        self.book.bring(self.pair("shop", producer="shop"), Status.SENT)
        # Last, or others would claim them.
        assert self.book.enqueue(mistaken).corrected == len(mistaken)
        self.book.bring(self.pair("queued"), Status.QUEUED)
        self.book.enqueue([message(1, client_id="delivered-1", text="Bye")])

    def _mistaken(self) -> list[Message]:
        """Messages that nobody got; returns them corrected. And some that were refused when they were out."""
        corrected = []
        for status in sorted(CORRECTABLE):
            late = LONG_AGO if status is Status.EXPIRED else None
            wrong = self.pair(f"mistaken-{status}", valid_until=late)
            self.book.bring(wrong, status)
            self.number += 2
            corrected += [
                message(self.number + n, client_id=one.client_id, text="Better")
                for n, one in enumerate(wrong, 1)
            ]
        package = self.package("refused-late")
        self.book.settle(package, Status.SENT)
        self.book.report(package, Status.REJECTED)
        return corrected

    def _numbered(self) -> None:
        """Messages that the provider has numbered."""
        package = self.package("numbered")
        moves = [
            Transition(item.id, package.id, Status.SENT, provider_message_id=str(item.id))
            for item in package.items
        ]
        self.book.do(settle, moves, {package.id: LOOK})

    def _in_parts(self) -> None:
        """Open packages of which a part is decided, and halves."""
        for status in (Status.SENT, Status.IN_DOUBT, Status.QUEUED, Status.REJECTED):
            self.book.settle(self.package(f"partly-{status}"), [status], delay=timedelta(hours=1))
        self.book.do(split, self.package("half"), LEASE, "unreadable")

    def _jobs(self) -> None:
        """A job, one that has ended, and one of which a part is in doubt, with and without the rest."""
        for what, then in {
            "job": [],
            "done": [Status.SENT],
            "torn": [Status.IN_DOUBT],
            "mended": [Status.IN_DOUBT, Status.SENT],
        }.items():
            package = self.package(what)
            self.book.do(take_job, package.id, "their-job", timedelta(seconds=2))
            for status in then:
                self.book.settle(package, [status])

    def _again(self) -> None:
        """Sent in the second try; late receipts."""
        for emptied in (PackageState.UNSENT, PackageState.REFUSED):
            package = self.package(f"again-{emptied}")
            self.book.settle(package, Status.QUEUED, emptied=emptied, tried=True)
            second = self.book.claim().package
            assert second is not None
            self.book.settle(second, Status.SENT)
        collided = self.package("collided")
        self.book.do(
            settle,
            [],
            {collided.id: LOOK},
            collided=[Transition(item.id, collided.id, Status.IN_DOUBT) for item in collided.items],
        )
        late = self.package("late")
        for status in (Status.IN_DOUBT, Status.SENT):
            self.book.settle(late, status)
        for status in (Status.UNCONFIRMED, Status.DELIVERED):
            self.book.report(late, status)


@pytest.fixture(scope="module")
def _written(servers: Addresses, template: str) -> Iterator[Book]:
    with database(servers, "written", template) as url, closing(Ledger.connect(url)) as ledger:
        book = Book(ledger)
        Author(book).write()
        yield book


@pytest.fixture
def written(_written: Book) -> Iterator[Book]:
    """A sound book in which everything has happened; whoever writes in it does not commit."""
    numbers = _written.rows("SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL")
    yield _written
    for row in numbers:  # no rollback gives numbers back
        _written.rows("SELECT setval(:name, :last)", name=row.sequencename, last=row.last_value)


def test_an_empty_ledger_is_sound(book: Book) -> None:
    assert audited(book) == ()


def test_a_ledger_in_which_everything_has_happened_is_sound(written: Book) -> None:
    states = {row.state for row in written.rows("SELECT DISTINCT state FROM packages")}

    assert states == set(PackageState)
    assert set(written.books().by_status) == set(Status)
    assert audited(written) == ()


def test_the_history_of_a_message_is_found_whole(written: Book) -> None:
    """By its packages, and by where its id lies; as reading the whole journal finds it."""
    found = written.rows(f"SELECT m.id, e.id FROM messages m JOIN journal e ON {OF_MESSAGE} ORDER BY 1, 2")

    assert found == written.rows("SELECT message_id, id FROM events ORDER BY 1, 2")


@settings(
    max_examples=15,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(draw=st.data())
@pytest.mark.slow
def test_no_sequence_of_steps_breaks_an_invariant(book: Book, draw: st.DataObject) -> None:
    book.rows("TRUNCATE messages, packages, journal, duplicate_counts, conflicts, suppressions")
    life = Life(book)

    for event_type in draw.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=20)):
        event_type(life, draw)
        assert audited(book) == ()


def test_a_ledger_at_work_is_sound_at_every_instant(book: Book, other: Book) -> None:
    over = threading.Event()

    def work() -> None:
        number = 0
        while not over.is_set():
            package = other.package([message(number + n) for n in range(20)])
            other.settle(package, [Status.IN_DOUBT, Status.SENT])
            other.settle(package, Status.SENT)
            other.report(package, Status.DELIVERED)
            number += 20

    writer = threading.Thread(target=work)
    writer.start()
    try:
        totals: set[int] = set()
        while len(totals) < 8 and writer.is_alive():  # as many different instants
            assert audited(book) == ()
            totals.add(book.books().total)
    finally:
        over.set()
        writer.join()
    assert len(totals) >= 8


# -- every invariant, broken ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Breakage:
    """A write past the transitions, and the row it is known by: `of` a message, its package or event."""

    invariant: str
    statement: str
    of: str
    kind: str = "message"
    count: int = 1
    also: tuple[str, ...] = ()  # what cannot but break with it
    which: str = "min"  # of its events: the first, or "max" for the last


def message_set(change: str, client_id: str) -> str:
    return f"UPDATE messages SET {change} WHERE client_id = '{client_id}'"


def package_of(client_id: str) -> str:
    return f"(SELECT package_id FROM messages WHERE client_id = '{client_id}')"


def package_set(change: str, client_id: str) -> str:
    return f"UPDATE packages SET {change} WHERE id = {package_of(client_id)}"


def id_of(client_id: str) -> str:
    return f"(SELECT id FROM messages WHERE client_id = '{client_id}')"


def ids_of(client_id: str) -> str:
    return f"ARRAY(SELECT id FROM messages WHERE client_id = '{client_id}')"


def sent_together(first: str, second: str) -> str:
    """Tell that two messages were sent in the row that was of the second, in this order."""
    return f"""
        WITH gone AS (DELETE FROM journal WHERE message_ids = {ids_of(first)} AND to_status = 'sent')
        UPDATE journal SET message_ids = {ids_of(first)} || {ids_of(second)}, message_count = 2
        WHERE message_ids = {ids_of(second)} AND to_status = 'sent'
    """


def corrected_by_queued(client_id: str) -> str:
    """Make a message that is queued into what went out in the stead of this one."""
    return f"""
        UPDATE messages SET client_id = '{client_id}',
               corrected_by = CASE client_id WHEN '{client_id}' THEN {id_of("queued-2")} END
        WHERE client_id IN ('{client_id}', 'queued-2')
    """


def event_set(change: str, client_id: str, to_status: Status) -> str:
    return (
        f"UPDATE journal SET {change} WHERE message_ids = {ids_of(client_id)} AND to_status = '{to_status}'"
    )


def event_added(client_id: str, event_type: str, from_status: str, to_status: str) -> str:
    return f"""
        INSERT INTO journal (message_ids, message_count, package_id, type, from_status, to_status)
        VALUES ({ids_of(client_id)}, 1, {package_of(client_id)}, {event_type}, {from_status}, {to_status})
    """


BREAKAGES = [
    Breakage(
        "events_have_messages", "DELETE FROM messages WHERE client_id = 'queued-1'", "queued-1", "event"
    ),
    Breakage("events_have_messages", "DELETE FROM messages WHERE client_id = 'late-1'", "late-1", "event"),
    Breakage(
        "messages_have_events", f"DELETE FROM journal WHERE message_ids = {ids_of('queued-1')}", "queued-1"
    ),
    Breakage("status_is_told", message_set("status = 'undeliverable'", "delivered-1"), "delivered-1"),
    Breakage("status_is_told", message_set("status = 'suppressed'", "delivered-1"), "delivered-1"),
    Breakage(
        "histories_hang_together",
        f"DELETE FROM journal WHERE message_ids = {ids_of('delivered-2')} AND to_status = 'sent'",
        "delivered-2",
    ),
    Breakage(
        "histories_hang_together",
        f"DELETE FROM journal WHERE message_ids = {ids_of('sent-1')} AND type = 'enqueue'",
        "sent-1",
    ),
    Breakage(
        "histories_hang_together",
        f"""
            INSERT INTO journal (message_ids, message_count, type, to_status)
            VALUES ({ids_of("queued-1")}, 1, 'enqueue', 'queued')
        """,
        "queued-1",
    ),
    Breakage(
        "transitions_are_allowed",
        event_set("type = 'settle'", "delivered-1", Status.DELIVERED),
        "delivered-1",
    ),
    Breakage(
        "transitions_are_allowed",
        event_added("rejected-1", "'report'", "'rejected'", "'rejected'"),
        "rejected-1",
    ),
    Breakage(
        "sent_once",
        event_added("sent-1", "'settle'", "'sent'", "'sent'"),
        "sent-1",
        also=("transitions_are_allowed",),
    ),
    Breakage(
        "sent_once",
        event_added("sent-2", "'settle'", "'sending'", "'sent'"),
        "sent-2",
        also=("histories_hang_together",),
    ),
    Breakage(
        "events_keep_the_fence",
        event_set("package_id = NULL", "delivered-1", Status.SENT),
        "delivered-1",
    ),
    Breakage(
        "events_keep_the_fence",
        event_set(f"package_id = {package_of('sent-1')}", "queued-1", Status.QUEUED),
        "queued-1",
        also=("packages_are_remembered",),
    ),
    Breakage(
        "events_keep_the_fence",
        event_set(f"package_id = {package_of('sending-1')}", "delivered-1", Status.SENT),
        "delivered-1",
        also=("packages_are_remembered",),
    ),
    Breakage(
        "fence_is_told",
        message_set("package_id = NULL", "delivered-1"),
        "delivered-1",
        also=("packages_are_remembered",),
    ),
    Breakage(
        "fence_is_told",
        message_set(f"package_id = {package_of('again-unsent-1')}", "partly-queued-1"),
        "partly-queued-1",
        also=("packages_count_their_messages",),
    ),
    Breakage("packages_hold_their_messages", package_set("state = 'closed'", "sent-1"), "sent-1", count=2),
    Breakage(
        "packages_hold_their_messages",
        package_set("state = 'settled'", "mended-1"),
        "mended-2",
    ),
    Breakage(
        "packages_keep_to_a_route",
        message_set("route = 'beta'", "delivered-1"),
        "delivered-1",
        also=("flows_go_by_names",),
    ),
    Breakage("due_while_queued", message_set("due_at = now()", "delivered-1"), "delivered-1"),
    Breakage("due_while_queued", message_set("due_at = NULL", "queued-1"), "queued-1"),
    Breakage("finals_are_dated", message_set("finalized_at = NULL", "failed-2"), "failed-2"),
    Breakage("finals_are_dated", message_set("finalized_at = now()", "in_doubt-1"), "in_doubt-1"),
    Breakage("attempts_are_told", message_set("attempts = 3", "delivered-1"), "delivered-1"),
    Breakage("attempts_are_told", message_set("attempts = -1", "delivered-1"), "delivered-1"),
    Breakage("messages_speak_our_words", message_set("kind = 'fax'", "delivered-1"), "delivered-1"),
    Breakage(
        "messages_speak_our_words",
        message_set("lane = 'slow'", "delivered-1"),
        "delivered-1",
        also=("flows_go_by_names",),
    ),
    Breakage("messages_speak_our_words", message_set("in_doubt = 'pray'", "delivered-1"), "delivered-1"),
    Breakage(
        "messages_speak_our_words",
        message_set("status = 'lost'", "delivered-1"),
        "delivered-1",
        also=("status_is_told", "finals_are_dated"),
    ),
    Breakage(
        "packages_are_there",
        f"DELETE FROM packages WHERE id = {package_of('delivered-1')}",
        "delivered-1",
        "package",
    ),
    Breakage(
        "packages_are_there",
        f"DELETE FROM packages WHERE id = {package_of('torn-1')}",  # sending and in doubt
        "torn-1",
        "package",
    ),
    Breakage(
        "packages_are_there",
        f"DELETE FROM packages WHERE id = {package_of('sent-1')}",
        "sent-1",
        "package",
    ),
    Breakage("packages_have_reasons", package_set("state = 'settled'", "failed-1"), "failed-1", "package"),
    Breakage(
        "packages_have_reasons",
        package_set("state = 'open', rescue_at = now()", "failed-1"),
        "failed-1",
        "package",
    ),
    Breakage(
        "packages_have_reasons",
        package_set("state = 'job', job = 'x'", "sent-1"),
        "sent-1",
        "package",
    ),
    Breakage("packages_have_reasons", package_set("state = 'in_doubt'", "sent-1"), "sent-1", "package"),
    Breakage(
        "packages_count_their_messages", package_set("message_count = 1", "sent-1"), "sent-1", "package"
    ),
    Breakage(
        "packages_count_their_messages", package_set("message_count = 3", "sent-1"), "sent-1", "package"
    ),
    Breakage(
        "packages_count_their_messages", package_set("inquiry_count = -1", "sent-1"), "sent-1", "package"
    ),
    Breakage("polls_are_set", package_set("poll_at = NULL", "sent-1"), "sent-1", "package"),
    Breakage("polls_are_set", package_set("poll_at = NULL", "job-1"), "job-1", "package"),
    Breakage("polls_are_set", package_set("poll_at = now()", "failed-1"), "failed-1", "package"),
    Breakage("rescues_are_set", package_set("rescue_at = NULL", "sending-1"), "sending-1", "package"),
    Breakage("rescues_are_set", package_set("rescue_at = NULL", "in_doubt-1"), "in_doubt-1", "package"),
    Breakage("rescues_are_set", package_set("rescue_at = now()", "sent-1"), "sent-1", "package"),
    Breakage("doubts_are_dated", package_set("in_doubt_since = NULL", "in_doubt-1"), "in_doubt-1", "package"),
    Breakage("doubts_are_dated", package_set("in_doubt_since = now()", "sent-1"), "sent-1", "package"),
    Breakage(
        "clocks_are_in_reach", package_set("rescue_at = 'infinity'", "sending-1"), "sending-1", "package"
    ),
    Breakage(
        "clocks_are_in_reach",
        package_set("poll_at = now() + interval '3 years'", "sent-1"),
        "sent-1",
        "package",
    ),
    Breakage("jobs_are_named", package_set("job = NULL", "job-1"), "job-1", "package"),
    Breakage("routes_are_there", "DELETE FROM routes WHERE name = 'beta'", "beta-1", "package"),
    Breakage("packages_speak_our_words", package_set("lane = 'slow'", "sent-1"), "sent-1", "package"),
    Breakage("packages_speak_our_words", package_set("state = 'lost'", "failed-1"), "failed-1", "package"),
    Breakage("client_ids_are_unique", message_set("client_id = 'queued-1'", "queued-2"), "queued-1"),
    Breakage("client_ids_are_unique", message_set("client_id = 'shop-1'", "shop-2"), "shop-1 of shop"),
    Breakage(
        "references_are_unique",
        message_set("reference = (SELECT reference FROM messages WHERE client_id = 'sent-1')", "sent-2"),
        "sent-1",
    ),
    Breakage(
        "provider_ids_are_unique",
        "UPDATE messages SET provider_message_id = '5' WHERE client_id LIKE 'numbered-%'",
        "numbered-1",
    ),
    Breakage("numbers_are_not_given_again", "ALTER SEQUENCE message_reference RESTART", "queued-2"),
    Breakage(
        "numbers_are_not_given_again",
        "ALTER TABLE journal ALTER COLUMN id RESTART",
        "queued-2",
        "event",
    ),
    Breakage(
        "numbers_are_not_given_again",
        "SELECT setval('message_reference', (SELECT max(reference) FROM messages), false)",
        "queued-2",
    ),
    Breakage(
        "numbers_are_not_given_again",
        "SELECT setval('journal_id_seq', (SELECT max(id) FROM journal), false)",
        "queued-2",
        "event",
    ),
    Breakage(
        "packages_are_remembered",
        message_set("earlier_packages = NULL", "again-refused-1"),
        "again-refused-1",
    ),
    Breakage(
        "packages_are_remembered",
        message_set("earlier_packages = '{1000000}'", "again-unsent-2"),
        "again-unsent-2",
    ),
    Breakage(
        "totals_are_of_the_journal",
        "INSERT INTO journal_totals (to_status, message_count) VALUES ('queued', 1)",
        "nothing to queued",
        "total",
    ),
    Breakage("flows_go_by_names", message_set("campaign = 'else'", "queued-1"), "queued-1"),
    Breakage("collisions_are_told", message_set("collided = true", "in_doubt-1"), "in_doubt-1"),
    Breakage("collisions_are_told", message_set("collided = NULL", "collided-1"), "collided-1"),
    Breakage("journal_is_in_order", sent_together("sent-2", "sent-1"), "sent-1", "event", which="max"),
    Breakage(
        "journal_keeps_to_blocks",
        f"""
            WITH far AS (
                INSERT INTO messages (id, client_id, status, due_at, lane, kind, route, recipient,
                                      sender, text, flow_id)
                OVERRIDING SYSTEM VALUE
                SELECT id + {BLOCK}, 'far', status, now(), lane, kind, route, recipient, sender, text,
                       flow_id
                FROM messages WHERE client_id = 'queued-1' RETURNING id
            )
            UPDATE journal SET message_ids = message_ids || (SELECT id FROM far), message_count = 2
            WHERE message_ids = {ids_of("queued-1")}
        """,
        "queued-1",
        "event",
    ),
    Breakage("corrected_came_to_nothing", corrected_by_queued("delivered-1"), "delivered-1"),
    Breakage("corrected_came_to_nothing", corrected_by_queued("cancelled-1"), "cancelled-1"),
    Breakage("corrected_came_to_nothing", corrected_by_queued("refused-late-1"), "refused-late-1"),
    Breakage("corrections_are_there", message_set("corrected_by = 1000000", "failed-1"), "failed-1"),
    Breakage(
        "corrections_are_there", message_set(f"corrected_by = {id_of('queued-2')}", "failed-1"), "failed-1"
    ),
    Breakage("corrections_are_there", message_set("corrected_by = id", "failed-1"), "failed-1"),
    Breakage(
        "corrections_are_there",
        """
            UPDATE messages m SET client_id = 'mistaken-failed-1', corrected_by = (
                SELECT corrected_by FROM messages WHERE client_id = 'mistaken-failed-1' AND status = 'failed'
            ) WHERE m.client_id = 'failed-1'
        """,
        "mistaken-failed-1",
        count=2,
    ),
    Breakage("conflicts_have_messages", "UPDATE conflicts SET client_id = 'nobody'", "nobody"),
    Breakage("conflicts_have_messages", "UPDATE conflicts SET producer = 'shop'", "delivered-1 of shop"),
    Breakage(
        "route_states_are_known", "UPDATE routes SET state = 'ajar' WHERE name = 'beta'", "beta", "route"
    ),
    Breakage(
        "route_states_are_known", "UPDATE routes SET state = 'paused' WHERE name = 'beta'", "beta", "route"
    ),
]


@pytest.mark.parametrize("breakage", [pytest.param(one, id=one.invariant) for one in BREAKAGES])
def test_a_write_past_the_transitions_breaks_its_invariant_alone_and_is_named(
    written: Book, breakage: Breakage
) -> None:
    with written.ledger.engine.connect() as connection:  # never committed: the CHECKs are back afterwards
        _unguard(connection)
        name = _name(connection, breakage)
        assert connection.execute(text(breakage.statement)).rowcount != 0

        broken = {finding.invariant: finding for finding in audit(connection)}

    assert set(broken) == {breakage.invariant, *breakage.also}
    finding = broken[breakage.invariant]
    assert finding.count == breakage.count
    assert (finding.breaches[0].kind, finding.breaches[0].name) == (breakage.kind, name)
    assert finding.breaches[0].wrong


def _unguard(connection: Connection) -> None:
    """Drop what would refuse the write, and have a row of the journal for each message."""
    for table, constraint in connection.execute(
        text("""
            SELECT t.relname, c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
            WHERE c.contype IN ('c', 'u') AND c.connamespace = to_regnamespace('public')
        """)
    ).all():
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}"))
    connection.execute(text("DROP INDEX uq_messages_client_id_producer"))
    connection.execute(text(ONE_BY_ONE))


def _name(connection: Connection, breakage: Breakage) -> str:
    """What the row is called, before it is broken."""
    asked = {
        "package": f"SELECT {package_of(breakage.of)}",
        "event": f"SELECT {breakage.which}(id) FROM events WHERE message_id = {id_of(breakage.of)}",
    }.get(breakage.kind)
    return str(connection.execute(text(asked)).scalar_one()) if asked else breakage.of


def test_every_invariant_has_a_breakage() -> None:
    assert {breakage.invariant for breakage in BREAKAGES} == {invariant.name for invariant in INVARIANTS}


def test_every_invariant_has_a_name_of_its_own_and_a_claim() -> None:
    names = [invariant.name for invariant in INVARIANTS]

    assert len(set(names)) == len(names)
    assert all(invariant.claim for invariant in INVARIANTS)


# -- what is told --------------------------------------------------------------------------------------


def test_all_breaches_are_counted_and_the_oldest_named(book: Book) -> None:
    book.enqueue([message(number) for number in range(101, 113)])
    book.rows("DELETE FROM journal")

    with book.ledger.snapshot() as connection:
        [finding] = audit(connection, most=10)

    assert (finding.invariant, finding.count) == ("messages_have_events", 12)
    assert [breach.name for breach in finding.breaches] == [f"client-{number}" for number in range(101, 111)]
    assert str(finding).startswith("messages_have_events: 12, as message client-101: no event tells of it; ")


def test_nobody_s_number_and_no_text_is_told(written: Book) -> None:
    secrets = [
        row[0] for row in written.rows("SELECT recipient FROM messages UNION SELECT text FROM messages")
    ]
    with written.ledger.engine.connect() as connection:
        _unguard(connection)
        connection.execute(text("UPDATE messages SET lane = recipient, kind = text, attempts = -1"))
        connection.execute(text("DELETE FROM packages"))
        told = str(audit(connection, most=1000))

    assert "delivered-1" in told
    assert not [secret for secret in secrets if secret in told]


def test_what_is_looked_at_is_announced(book: Book) -> None:
    heard: list[str] = []
    with book.ledger.snapshot() as connection:
        audit(connection, tell=heard.append)

    assert heard == [view.name for view in VIEWS]
