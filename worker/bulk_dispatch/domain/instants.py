"""Instants: a date and time that people or programs wrote, read as one moment in UTC, or refused.

Taken are ISO 8601 with an offset (`2026-12-01T09:00+02:00`), a local time with the name of its zone
(`2026-12-01T09:00 Europe/Kyiv`), and both, as RFC 9557 writes it (`2026-12-01T09:00+02:00[Europe/Kyiv]`).
`datetime.fromisoformat` alone would not do: it reads 10.30 as ten o'clock and three tenths of a second.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from bulk_dispatch.timezones import NoZoneError, zone

_WRITTEN = re.compile(
    r"""
    (?P<date>\d{4}-\d{2}-\d{2})
    (?: [T ] (?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?) )?
    \s? (?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?
    (?: \s*\[!?(?P<bracketed>[A-Za-z][A-Za-z0-9_+/-]*)\] | \s+(?P<named>UTC|GMT|[A-Za-z]+/[A-Za-z0-9_+/-]+) )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


class InstantError(ValueError):
    """Not one moment. The sentence says why, and not what was given."""


def read_instant(value: str | datetime) -> datetime:
    """One moment, in UTC. Raises InstantError."""
    moment = _aware(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise InstantError("must carry a time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InstantError("must lie between the years 1 and 9999") from None


def local_time(text: str) -> datetime | None:
    """A date and time as a provider writes it, with an offset or without; None for what is none. It may lack
    seconds, and of a day alone the beginning is meant."""
    found = _WRITTEN.fullmatch(text)
    if found is None or found["bracketed"] or found["named"]:
        return None
    try:
        return _clock_time(found).replace(tzinfo=_offset(found["offset"]))
    except ValueError:
        return None


def full(moment: datetime, unit: timedelta) -> datetime:
    """The moment in whole units (seconds or minutes), never before it."""
    past = timedelta(seconds=moment.second, microseconds=moment.microsecond) % unit
    return moment - past + unit if past else moment


SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def _aware(text: str) -> datetime:
    found = _WRITTEN.fullmatch(re.sub(r"\s", " ", text.strip()).replace("\u2212", "-"))
    if found is None or not found["time"]:
        raise InstantError(
            "must be a date and time such as 2026-12-01T09:00+02:00 or 2026-12-01T09:00 Europe/Kyiv"
        )
    try:
        clock, offset = _clock_time(found), _offset(found["offset"])
    except ValueError as problem:
        raise InstantError(f"is no date and time there is: {problem}") from None
    name = found["bracketed"] or found["named"]
    if not name:
        return clock.replace(tzinfo=offset)
    try:
        place = zone(name)
        # By RFC 9557 a Z says nothing of the zone, so it cannot contradict it.
        return clock.replace(tzinfo=UTC) if offset is UTC else _in_zone(clock, place, offset)
    except NoZoneError as problem:
        raise InstantError(str(problem)) from None


def _clock_time(found: "re.Match[str]") -> datetime:
    return datetime.fromisoformat(f"{found['date']}T{found['time'] or '00:00'}")


def _offset(written: str | None) -> tzinfo | None:
    if not written:
        return None
    if written in "Zz":
        return UTC
    minutes = int(written[1:3]) * 60 + int(written[-2:] if len(written) > 3 else 0)
    if int(written[1:3]) > 23 or (len(written) > 3 and int(written[-2:]) > 59):
        raise ValueError("its offset is none")
    return timezone(timedelta(minutes=minutes if written[0] == "+" else -minutes))


def _in_zone(clock: datetime, place: ZoneInfo, offset: tzinfo | None) -> datetime:
    """The moment a clock there shows this. Twice a year it is shown never, or twice."""
    shown = [clock.replace(tzinfo=place, fold=fold) for fold in (0, 1)]
    there = [one for one in shown if one.astimezone(UTC).astimezone(place).replace(tzinfo=None) == clock]
    if not there:
        raise InstantError(f"is shown by no clock: {place.key} goes over that hour when the clocks change")
    offsets = {one.utcoffset(): one for one in there}
    if offset is not None:
        meant = offsets.get(clock.replace(tzinfo=offset).utcoffset())
        if meant is None:
            raise InstantError(f"contradicts itself: {place.key} was then {_written(offsets)} from UTC")
        return meant
    if len(offsets) > 1:
        which = f"say which, by its offset {_written(offsets)}"
        raise InstantError(f"is shown twice, when the clocks of {place.key} change: {which}")
    return there[0]


def _written(offsets: "dict[timedelta | None, datetime]") -> str:
    return " or ".join(f"{one:%z}"[:3] + ":" + f"{one:%z}"[3:5] for one in offsets.values())
