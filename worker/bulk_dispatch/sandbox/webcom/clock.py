"""Times in the account's zone, which no document names (sheet section 8)."""

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.webcom.strict import DocumentRefused, expect
from bulk_dispatch.sandbox.webcom.texts import DocumentError

# With and without seconds: the table and the samples differ.
WRITTEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", re.ASCII)


@lru_cache(maxsize=4096)  # recipients of a document share their times
def instant(written: str, zone: ZoneInfo) -> float:
    """Seconds since 1970; raises `DocumentRefused`."""
    expect(WRITTEN.fullmatch(written) is not None)
    try:
        return datetime.fromisoformat(written).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):  # a 31 November, a year 0
        raise DocumentRefused(DocumentError.FORMAT) from None


@lru_cache(maxsize=4096)
def written_time(second: int, zone: ZoneInfo) -> str:
    """`YYYY-MM-DD HH:MM:SS` [vendor docs]."""
    return datetime.fromtimestamp(second, zone).strftime("%Y-%m-%d %H:%M:%S")
