"""Plans: what a step works on does not grow with the ledger.

Planners choose by what they believe to be there. Over a full ledger hardly a message is under way, so a plan
made for one row may be carried out a thousand times; no count of statements shows it.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.packages import open_messages
from bulk_dispatch.ledger.queries import history
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.transitions import ClaimRequest, Clock, Package, Transition, claim, enqueue, settle
from tests.benchmarks.filled_ledger import FILL
from tests.factories import messages
from tests.ledger.book import LOOK, ROUTE, Book

pytestmark = pytest.mark.slow

OLD = 200_000  # with a quarter of it no plan went wrong that went wrong over millions
COUNT = 1000
MOST = 20  # rows a message that the plans of a step may handle; today 3 to 11


@pytest.fixture
def full(book: Book) -> Book:
    """A ledger in which nearly all has ended, as the planner knows, and a thousand messages are queued."""
    book.do(register_routes, [ROUTE])
    with book.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in FILL:
            connection.exec_driver_sql(statement, {"route": ROUTE, "count": OLD})
        connection.exec_driver_sql("VACUUM ANALYZE")
    book.enqueue(messages(COUNT, route=ROUTE))
    return book


def work_of(book: Book, step: Callable[[Connection], object]) -> int:
    """How many rows the plans of a step handle, those included that a node looks at and throws away."""
    said: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        said.append((statement, values))

    engine = book.ledger.engine
    with engine.connect() as connection:  # rolled back: all of it is done again below
        event.listen(engine, "before_cursor_execute", hear)
        try:
            step(connection)
        finally:
            event.remove(engine, "before_cursor_execute", hear)
    with engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
            for statement, values in said
        ]
    return sum(_rows_of(plan["Plan"]) for [plan] in plans)


def _rows_of(node: dict[str, Any]) -> int:
    own = sum(node.get(key, 0) for key in ("Actual Rows", *_THROWN_AWAY)) * node["Actual Loops"]
    return int(own) + sum(_rows_of(part) for part in node.get("Plans", ()))


_THROWN_AWAY = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")


def moves(package: Package, status: Status) -> list[Transition]:
    return [Transition(item.id, package.id, status, "1", str(item.id), 1) for item in package.items]


def test_what_a_step_works_on_does_not_grow_with_the_ledger(full: Book) -> None:
    limits = Limits(COUNT, 10**9)
    more = messages(2 * COUNT, route=ROUTE)[COUNT:]
    work = {
        "enqueue": work_of(full, lambda book: enqueue(book, more)),
        "claim": work_of(
            full,
            lambda book: claim(book, ClaimRequest(ROUTE, limits, parallel=9, lease=LOOK.poll), Lane.BULK),
        ),
    }
    package = full.claim(items=COUNT).package
    assert package
    looks = {package.id: LOOK}
    work["settle"] = work_of(full, lambda book: settle(book, moves(package, Status.SENT), looks))
    assert full.settle(package, Status.SENT) == {Status.SENT: COUNT}
    work["look"] = work_of(full, lambda book: open_messages(book, [package.id]))
    news = moves(package, Status.DELIVERED)
    work["report"] = work_of(full, lambda book: settle(book, (), looks, news=news, keeps=(Clock.RESCUE,)))

    assert {step: rows for step, rows in work.items() if not COUNT <= rows <= MOST * COUNT} == {}


def test_what_is_offered_again_is_looked_up_and_corrected_by_indexes_alone(full: Book) -> None:
    package = full.claim(items=COUNT).package
    assert package
    full.settle(package, Status.REJECTED)
    corrected = messages(COUNT, route=ROUTE, sender="Better")
    work = {
        "repeat": work_of(full, lambda book: enqueue(book, messages(COUNT, route=ROUTE))),
        "correct": work_of(full, lambda book: enqueue(book, corrected)),
    }
    assert full.enqueue(corrected).corrected == COUNT
    work["old again"] = work_of(full, lambda book: enqueue(book, messages(COUNT, route=ROUTE)))

    most = 2 * MOST * COUNT  # each is several statements; today 4 to 23 rows a message
    assert {step: rows for step, rows in work.items() if not COUNT <= rows <= most} == {}


def test_the_history_of_one_message_is_found_by_indexes_alone(full: Book) -> None:
    package = full.claim(items=COUNT).package
    assert package
    full.settle(package, Status.SENT)

    rows = work_of(full, lambda book: history(book, messages(1)[0].client_id))

    assert 3 <= rows <= 2 * MOST
