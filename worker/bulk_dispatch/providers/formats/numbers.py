"""Figures in answers, distrusted: segments, money, instants. What is none of them is None, or nothing."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.instants import local_time

SEGMENTS = {str(count): count for count in range(1, 256)}
"""Counts of segments as they are written; 0 is not a number of them."""

MONEY = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,30})?([eE]-[0-9]{1,2})?")  # with all the noise of a float
PLACES = Decimal("0.0001")  # what is left of that noise
CURRENCY = re.compile(r"[A-Z]{3}")
INSTANT_MOST = 40  # characters that are looked at
YEARS = range(2000, 2100)  # in which something may have ended
TIME = re.compile(r"[T ][0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2})?", re.IGNORECASE)


def money(text: str) -> Decimal | None:
    """An amount, without the noise."""
    return Decimal(text).quantize(PLACES) if MONEY.fullmatch(text) else None


def currency(text: str) -> str:
    """A code of ISO 4217, as far as its form tells."""
    return text if CURRENCY.fullmatch(text) else ""


def instant(text: str, zone: ZoneInfo) -> datetime | None:
    """An instant in UTC from what may lack seconds or a zone, or name a day that never was: 31 November.

    `zone` is that of times which carry none. An hour that its clocks show twice is taken for the second one:
    nothing is said to have happened before it did.
    """
    return _instant(text[:INSTANT_MOST], zone)


@lru_cache(maxsize=4096)  # in one answer many share a second, and this is dearer than all the rest of reading
def _instant(text: str, zone: ZoneInfo) -> datetime | None:
    read = local_time(text)
    if read is None:
        return None
    try:
        if read.tzinfo:
            return read.astimezone(UTC)
        return max(read.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return None


def ended(text: str, zone: ZoneInfo) -> datetime | None:
    """When something happened: the latest instant that they can mean by it.

    What lacks seconds may be any of that minute, what lacks a time any of that day, and an hour that comes
    twice the second of the two. Read as the earliest, an end could seem to lie before its message. A date of
    another century is one that nobody has set.
    """
    return _ended(text[:INSTANT_MOST], zone)


@lru_cache(maxsize=4096)
def _ended(text: str, zone: ZoneInfo) -> datetime | None:
    read, time = local_time(text), TIME.search(text)
    if read is None:
        return None
    lasts = timedelta(days=1) if time is None else timedelta(minutes=0 if time["seconds"] else 1)
    try:
        latest = read + max(lasts - timedelta(seconds=1), timedelta(0))
        folds = [latest] if latest.tzinfo else [latest.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
        found = max(one.astimezone(UTC) for one in folds)
        return found if found.year in YEARS else None
    except OverflowError:
        return None
