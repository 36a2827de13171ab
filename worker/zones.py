"""Time zones, by the data of the package `tzdata` and nobody else's.

The standard library takes the host's zone files first, and those differ from host to host: an instant would
depend on the machine that computes it. `worker doctor` tells the version in force.
"""

from functools import lru_cache
from importlib import resources
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


@lru_cache(1)
def _names() -> frozenset[str]:
    return frozenset((resources.files("tzdata") / "zones").read_text("utf-8").split())
