"""Columns of values: whatever goes out as an array comes back as it was, beside another column."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DataError

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.bulk_params import bound, sql_rows
from bulk_dispatch.local.servers.server_pair import Addresses

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)
COLUMNS = {
    "text": TEXTS,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "timestamptz": st.datetimes(LONG_AGO.replace(tzinfo=None), timezones=st.just(UTC)),
    "interval": st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    "boolean": st.booleans(),
}


@pytest.fixture(scope="module")
def plain_ledger(servers: Addresses) -> Any:
    """Connections as the ledger has them."""
    ledger = Ledger.connect(servers.database_url)
    yield ledger
    ledger.close()


def there_and_back(ledger: Ledger, kind: str, column: list[Any]) -> list[Any]:
    """The column as the database has understood it beside another, in its order."""
    statement = text(f"""
        SELECT value FROM unnest(CAST(:places AS bigint[]), CAST(:column AS {kind}[])) AS c (place, value)
        ORDER BY place
    """)
    with ledger.begin() as connection:
        values = {"places": list(range(len(column))), "column": column}
        return list(connection.execute(statement, values).scalars())


@pytest.mark.parametrize("kind", COLUMNS)
def test_what_goes_out_comes_back(plain_ledger: Ledger, kind: str) -> None:
    @given(st.lists(COLUMNS[kind] | st.none()))
    def holds(column: list[Any]) -> None:
        assert there_and_back(plain_ledger, kind, column) == column

    holds()


ROWS = {"place": "bigint", **{f"a_{kind}": kind for kind in COLUMNS}}


def test_rows_go_out_as_they_are_whatever_they_share(plain_ledger: Ledger) -> None:
    """A column may be the same in all rows, in none, or be there in some."""
    statement = text(f"{sql_rows(ROWS)} ORDER BY place")

    def column(values: st.SearchStrategy[Any], rows: int) -> st.SearchStrategy[list[Any]]:
        same = (values | st.none()).map(lambda value: [value] * rows)
        return same | st.lists(values | st.none(), min_size=rows, max_size=rows)

    def tables(rows: int) -> st.SearchStrategy[dict[str, list[Any]]]:
        return st.fixed_dictionaries({f"a_{kind}": column(COLUMNS[kind], rows) for kind in COLUMNS})

    @given(st.integers(1, 6).flatmap(tables))
    def holds(columns: dict[str, list[Any]]) -> None:
        columns = {"place": list(range(len(columns["a_text"]))), **columns}
        with plain_ledger.begin() as connection:
            found = connection.execute(statement, bound(columns)).all()
        assert [tuple(row) for row in found] == list(zip(*(columns[name] for name in ROWS), strict=True))

    holds()


def test_members_of_an_enumeration_are_texts(plain_ledger: Ledger) -> None:
    statement = text(f"{sql_rows({'place': 'bigint', 'status': 'text'})} ORDER BY place")

    for column in ([Status.SENT, Status.SENT], [Status.SENT, Status.QUEUED], [Status.SENT, None]):
        with plain_ledger.begin() as connection:
            found = connection.execute(statement, bound({"place": [1, 2], "status": column})).all()
        assert [row.status for row in found] == [value and value.value for value in column]


def test_no_rows_are_none(plain_ledger: Ledger) -> None:
    with plain_ledger.begin() as connection:
        assert connection.execute(text(sql_rows(ROWS)), bound({name: [] for name in ROWS})).all() == []


def test_a_column_of_nothing_is_nothing_alone(plain_ledger: Ledger) -> None:
    with plain_ledger.begin() as connection:
        alone = connection.execute(text("SELECT unnest(CAST(:column AS text[]))"), {"column": [None, None]})
        assert alone.all() == []


@pytest.mark.parametrize(
    "value", ["", " ", "NULL", "null", '"', '""', '","', "\\", '\\"', "{}", "{a,b}", "a,b", "\n\t", "я𝄞", "'"]
)
@pytest.mark.parametrize("beside", [[], ["x"], [None], ['"'], [""]])
def test_what_looks_like_markup(plain_ledger: Ledger, value: str, beside: list[str | None]) -> None:
    for column in ([value, *beside], [*beside, value]):
        assert there_and_back(plain_ledger, "text", column) == column


def test_a_character_that_ends_a_string_is_refused_and_quoted_nowhere(plain_ledger: Ledger) -> None:
    with pytest.raises(DataError) as refused:
        there_and_back(plain_ledger, "text", ["Your code is 1234\x00", "another"])
    assert "1234" not in str(refused.value)
