"""Time zones, by the data of the package `tzdata` and nobody else's.

The standard library takes the host's zone files first, and those differ from host to host: an instant would
depend on the machine that computes it. `worker doctor` tells the version in force.

Once a year, where summer time ends, clocks show an hour twice: what they show then names two moments.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import TypeAlias
from zoneinfo import ZoneInfo

import tzdata


class NoZoneError(ValueError):
    """There is no zone of that name."""


def data_version() -> str:
    """The version of the zone data, as IANA numbers them: "2026b"."""
    return str(tzdata.IANA_VERSION)


@lru_cache(1000)
def zone(name: str) -> ZoneInfo:
    """A zone by its name in the tz database, such as Europe/Kyiv. Raises NoZoneError."""
    if name not in _names():  # never a path that somebody thought of
        raise NoZoneError(f"there is no time zone {name[:40]!r}")
    *folders, last = name.split("/")
    place = resources.files(".".join(("tzdata.zoneinfo", *folders)))
    with (place / last).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


Span: TypeAlias = tuple[datetime, datetime]
"""From an instant, to another that is no more of it. Aware."""


def shown_twice(place: ZoneInfo, since: datetime, until: datetime) -> Span | None:
    """The first hour (somewhere it is half an hour) between these instants that clocks there show twice, when
    summer time ends: from when they first show it to when they have shown it again, in UTC. None if there is
    none."""
    before, end = since.astimezone(UTC), until.astimezone(UTC)
    while before < end:
        after = min(before + _STRIDE, end)
        back = _offset(place, before) - _offset(place, after)
        if back > timedelta(0):
            change = _change(place, before, after)
            return change - back, change + back
        before = after
    return None


def told_once(moment: datetime, place: ZoneInfo) -> datetime:
    """The moment, or the end of the hour that clocks there show twice if it falls into that: what they show
    then can be told without an offset."""
    local = moment.astimezone(place)
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return moment
    span = shown_twice(place, moment - _STRIDE, moment + _STRIDE)
    return span[1] if span else moment


_STRIDE = timedelta(hours=6)  # clocks change more seldom


def _offset(place: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(place).utcoffset() or timedelta(0)


def _change(place: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant, to the second, when clocks there change between these two."""
    was = _offset(place, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        before, after = (middle, after) if _offset(place, middle) == was else (before, middle)
    return after.replace(microsecond=0)


@lru_cache(1)
def _names() -> frozenset[str]:
    return frozenset((resources.files("tzdata") / "zones").read_text("utf-8").split())
