"""Which dates and times are read, as which moment, and what is refused with which sentence."""

from datetime import UTC, datetime

import pytest

from bulk_dispatch.domain.instants import InstantError, local_time, read_instant
from bulk_dispatch.timezones import NoZoneError, data_version, zone

NINE_IN_KYIV = datetime(2026, 12, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-12-01T09:00+02:00",
        "2026-12-01 09:00:00+0200",
        "2026-12-01T09:00:00.000+02",
        "2026-12-01T07:00Z",
        "2026-12-01 07:00 UTC",
        "2026-12-01T09:00 Europe/Kyiv",
        "2026-12-01T09:00[Europe/Kyiv]",
        "2026-12-01T09:00+02:00[Europe/Kyiv]",
        "2026-12-01T09:00+02:00[!Europe/Kyiv]",
        "2026-12-01T07:00Z[Europe/Kyiv]",
        " 2026-12-01T09:00 Europe/Kiev ",
    ],
)
def test_one_moment_may_be_written_in_many_ways(written: str) -> None:
    assert read_instant(written) == NINE_IN_KYIV


REFUSED = {
    "2026-12-01T10.30+02:00": "must be a date and time such as",
    "2026-12-01T10:30:00+02:00:30": "must be a date and time such as",
    "2026-12-01T10:30:00,5+02:00": "must be a date and time such as",
    "20261201T1030Z": "must be a date and time such as",
    "2026-W49-2T10:30Z": "must be a date and time such as",
    "2026-12-01": "must be a date and time such as",
    "01.12.2026 09:00 Europe/Kyiv": "must be a date and time such as",
    "2026-12-01T09:00 ../../etc/passwd": "must be a date and time such as",
    "2026-12-01T09:00[u-ca=gregory]": "must be a date and time such as",
    "2026-12-01T09:00": "must carry a time zone",
    "2026-13-01T09:00Z": "no date and time there is",
    "2026-12-01T24:00Z": "no date and time there is",
    "2026-12-01T09:00+25:00": "no date and time there is",
    "2026-12-01T09:00+02:75": "no date and time there is",
    "2026-12-01T09:00 Europe/Nowhere": "there is no time zone 'Europe/Nowhere'",
    "2026-12-01T09:00+03:00[Europe/Kyiv]": "contradicts itself: Europe/Kyiv was then +02:00",
    "2026-03-29T03:30 Europe/Kyiv": "is shown by no clock",
    "2026-10-25T03:30 Europe/Kyiv": "is shown twice",
    "0001-01-01T00:00+05:00": "between the years 1 and 9999",
}


@pytest.mark.parametrize("written", REFUSED)
def test_what_is_not_one_moment_is_refused_with_its_reason(written: str) -> None:
    with pytest.raises(InstantError) as problem:
        read_instant(written)
    assert REFUSED[written] in str(problem.value)


@pytest.mark.parametrize(("offset", "hour"), [("+03:00", 0), ("+02:00", 1)])
def test_an_hour_that_clocks_show_twice_is_told_by_its_offset(offset: str, hour: int) -> None:
    assert read_instant(f"2026-10-25T03:30{offset}[Europe/Kyiv]") == datetime(
        2026, 10, 25, hour, 30, tzinfo=UTC
    )


@pytest.mark.parametrize("written", ["2026-03-29T02:59 Europe/Kyiv", "2026-03-29T04:00 Europe/Kyiv"])
def test_beside_the_hour_that_is_left_out_there_are_moments(written: str) -> None:
    assert read_instant(written).hour in (0, 1)


def test_zones_come_from_the_package_and_not_from_the_host() -> None:
    """Vancouver keeps summer time from November 2026 on, by data newer than most hosts have."""
    assert data_version() >= "2026"
    assert read_instant("2026-12-01T09:00 America/Vancouver") == datetime(2026, 12, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize("name", ["../zone1970.tab", "/etc/localtime", "Europe", "", "europe/kyiv"])
def test_what_is_no_zone_is_none(name: str) -> None:
    with pytest.raises(NoZoneError):
        zone(name)


@pytest.mark.parametrize(
    "written", ["2031-03-04T09:30.5", "2031-03-04T09.30", "20310304", "", "2031-11-31 10:00"]
)
def test_what_a_provider_writes_may_be_no_time(written: str) -> None:
    assert local_time(written) is None


def test_a_provider_may_leave_out_zone_and_seconds() -> None:
    assert local_time("2031-03-04 09:30") == datetime(2031, 3, 4, 9, 30)  # noqa: DTZ001
