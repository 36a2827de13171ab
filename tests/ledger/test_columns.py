"""Rows that are read by place, for speed: each column is the one that the reader takes it for."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.outbound import COLUMNS, item
from bulk_dispatch.ledger.packages import _OPEN_COLUMNS, OpenMessage, open_messages
from bulk_dispatch.ledger.transitions import Transition, settle
from tests.factories import message
from tests.ledger.book import LOOK, Book

AHEAD = timedelta(hours=1)
NONE = "FROM messages m JOIN packages p ON p.id = m.package_id WHERE false"


def test_the_columns_of_an_open_message_are_its_fields(book: Book) -> None:
    read = book.do(lambda connection: connection.execute(text(f"SELECT {_OPEN_COLUMNS} {NONE}")).keys())

    assert tuple(read) == OpenMessage._fields


def test_an_open_message_is_what_its_row_says(book: Book) -> None:
    package = book.package([message(1), message(2)])
    moves = [
        Transition(one.id, package.id, Status.SENT, provider_message_id=f"their-{one.id}", tried=True)
        for one in package.items
    ]
    book.do(settle, moves, {package.id: LOOK})
    rows = {row.id: row for row in book.rows("SELECT * FROM messages")}

    found = book.do(open_messages, [package.id])

    assert len(found) == 2
    for one in found:
        row = rows[one.id]
        for name in (
            "package_id",
            "reference",
            "provider_message_id",
            "status",
            "attempts",
            "kind",
            "segments_estimated",
        ):
            assert getattr(one, name) == getattr(row, name), name


def test_a_message_read_for_sending_is_what_its_row_says(book: Book) -> None:
    current = datetime.now(UTC)
    times = {"send_at": current + AHEAD, "valid_until": current + 3 * AHEAD}
    offered = message(1, sender="Shop", text="Hello there", campaign="spring", **times)
    book.enqueue([offered])
    (row,) = book.rows("SELECT * FROM messages")
    (read,) = book.rows(f"SELECT {COLUMNS} FROM messages m")

    found = item(read, Limits(10, 10**6))

    for name in (
        "id",
        "reference",
        "recipient",
        "sender",
        "attempts",
        "campaign",
        "segments_estimated",
        "valid_until",
    ):
        assert getattr(found, name) == getattr(row, name), name
    assert (found.send_at, found.content) == (row.send_at, offered.content)
    assert found.leaves_at == row.send_at  # what waits for its time leaves then
