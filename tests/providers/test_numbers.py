"""Instants in answers: an end is read as the latest that they can mean, never before its message."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bulk_dispatch.providers.formats.numbers import ended

KYIV, MOSCOW = ZoneInfo("Europe/Kyiv"), ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("text", "zone", "latest"),
    [
        ("2031-03-04T09:31:12", KYIV, datetime(2031, 3, 4, 7, 31, 12, tzinfo=UTC)),
        ("2031-03-04T09:31", KYIV, datetime(2031, 3, 4, 7, 31, 59, tzinfo=UTC)),
        ("2031-03-04 09:31", MOSCOW, datetime(2031, 3, 4, 6, 31, 59, tzinfo=UTC)),
        ("2031-03-04", KYIV, datetime(2031, 3, 4, 21, 59, 59, tzinfo=UTC)),
        ("2031-03-04T09:31:12+0300", KYIV, datetime(2031, 3, 4, 6, 31, 12, tzinfo=UTC)),
        ("2031-03-04T09:31Z", KYIV, datetime(2031, 3, 4, 9, 31, 59, tzinfo=UTC)),
        # The clocks of Kyiv go back at four, summer time, and forward at three, winter time.
        ("2026-10-25 03:30:00", KYIV, datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-10-25 03:30", KYIV, datetime(2026, 10, 25, 1, 30, 59, tzinfo=UTC)),
        ("2026-10-25 02:59:59", KYIV, datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)),
        ("2026-03-29 03:30:00", KYIV, datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59-05:00", KYIV, None),
        ("9999-12-31", KYIV, None),
        ("1970-01-01T00:00:00", KYIV, None),
        ("2031-11-31T09:31", KYIV, None),
        ("", KYIV, None),
    ],
)
def test_an_end_is_the_latest_that_its_words_can_mean(
    text: str, zone: ZoneInfo, latest: datetime | None
) -> None:
    assert ended(text, zone) == latest
