"""Closing: sum up the part of the journal that is over, so that the books need not read it again."""

from bulk_dispatch.ledger.totals import Closed, close_books
from bulk_dispatch.runtime import Runtime


def close(runtime: Runtime) -> Closed:
    """One step. What it closes was there at the step before, and everybody who wrote then is done."""
    with runtime.ledger.begin() as connection:
        return close_books(connection)
