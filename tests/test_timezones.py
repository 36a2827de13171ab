"""Zones: the hour that comes twice, where it is, and what can be told of it."""

from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.timezones import Span, shown_twice, told_once, zone

DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(since: str, until: str) -> Span:
    return utc(since), utc(until)


@pytest.mark.parametrize(
    ("name", "since", "until", "twice"),
    [
        # Kyiv shows 03:00 to 04:00 twice, by +03:00 and then by +02:00.
        ("Europe/Kyiv", "2026-10-24", "2026-10-26", span("2026-10-25T00:00", "2026-10-25T02:00")),
        ("Europe/Kyiv", "2026-10-25T00:30", "2026-11-01", span("2026-10-25T00:00", "2026-10-25T02:00")),
        ("Europe/Kyiv", "2026-10-25T01:00", "2026-11-01", None),  # it shows them for the second time
        ("Europe/Kyiv", "2026-10-18", "2026-10-25T00:59", None),
        ("Europe/Kyiv", "2026-03-28", "2026-03-30", None),  # an hour that does not come
        ("Europe/Moscow", "2026-01-01", "2027-01-01", None),
        ("UTC", "2026-01-01", "2027-01-01", None),
        ("America/New_York", "2026-10-31", "2026-11-07", span("2026-11-01T05:00", "2026-11-01T07:00")),
        ("Europe/Dublin", "2026-10-24", "2026-10-26", span("2026-10-25T00:00", "2026-10-25T02:00")),
        # Half an hour, and one that was no summer time.
        ("Australia/Lord_Howe", "2026-04-03", "2026-04-06", span("2026-04-04T14:30", "2026-04-04T15:30")),
        ("Asia/Pyongyang", "2015-08-13", "2015-08-16", span("2015-08-14T14:30", "2015-08-14T15:30")),
    ],
)
def test_the_hour_that_clocks_show_twice(name: str, since: str, until: str, twice: Span | None) -> None:
    assert shown_twice(zone(name), utc(since), utc(until)) == twice


@pytest.mark.parametrize(
    ("name", "moment", "told"),
    [
        ("Europe/Kyiv", "2026-10-24T23:59:59", "2026-10-24T23:59:59"),
        ("Europe/Kyiv", "2026-10-25T00:00:00", "2026-10-25T02:00"),
        ("Europe/Kyiv", "2026-10-25T00:59:59.999999", "2026-10-25T02:00"),
        ("Europe/Kyiv", "2026-10-25T01:00:00", "2026-10-25T02:00"),
        ("Europe/Kyiv", "2026-10-25T01:59:59.999999", "2026-10-25T02:00"),
        ("Europe/Kyiv", "2026-10-25T02:00:00", "2026-10-25T02:00"),
        ("Europe/Kyiv", "2026-03-29T01:00:00", "2026-03-29T01:00"),
        ("Europe/Moscow", "2026-10-25T00:30:00", "2026-10-25T00:30"),
        ("Australia/Lord_Howe", "2026-04-04T15:10:00", "2026-04-04T15:30"),
    ],
)
def test_what_can_be_told_without_an_offset(name: str, moment: str, told: str) -> None:
    assert told_once(utc(moment), zone(name)) == utc(told)


@pytest.mark.parametrize(
    "name", ["Europe/Kyiv", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
)
@pytest.mark.slow
def test_whatever_is_told_names_one_moment_that_is_not_earlier(name: str) -> None:
    place = zone(name)
    for quarter in range(4 * 24 * 366):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + quarter * timedelta(minutes=15)
        told = told_once(moment, place)
        shown = told.astimezone(place).replace(tzinfo=None)
        assert {shown.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)} == {told}
        assert timedelta(0) <= told - moment < DAY / 8
