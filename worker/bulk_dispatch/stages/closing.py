"""Closing: sum up the part of the journal that is over, so that the books need not read it again."""

from dataclasses import dataclass

from bulk_dispatch.ledger.totals import close_books
from bulk_dispatch.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Closed:
    """What one step did: how many rows of the journal were summed up, at most."""

    rows: int
    more: bool = False  # never: the rest is for the next visit


def close(runtime: Runtime) -> Closed:
    """One step. What it closes was there at the step before, and everybody who wrote then is done."""
    with runtime.ledger.begin() as connection:
        return Closed(close_books(connection))
