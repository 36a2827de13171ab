"""Addresses of servers as people write them into variables: read, checked, and brought into the form that
drivers want. The one place that takes them apart.

A sentence about an address never shows any of it: where a password has a raw `/` or `@`, nobody can tell
which part is the password.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

ESCAPES = "in a user or password # / ? % @ [ ] ; are written %23 %2F %3F %25 %40 %5B %5D %3B"
"""The advice for a password that has one of these in it."""

DATABASE = "must look like postgresql://user:password@host:5432/name"
REDIS = "must look like redis://:password@host:6379/0, rediss://… or unix:///path?db=0"

CERT_REQS = ("none", "optional", "required")
"""Whether the server's certificate is looked at: the words of redis-py. Celery's page, and hosters, write
CERT_NONE and so on."""

_WHOLE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
)
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]*)(?::[0-9]{1,5})?")
_STRAY = re.compile(r"[@\[\]]|%(?![0-9A-Fa-f]{2})")  # of a user and password that were not escaped


class AddressError(ValueError):
    """It is no address of that kind. The sentence follows the name of the variable, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address, taken apart. `user` is all before the @, escaped as it came."""

    scheme: str
    user: str | None
    place: str
    path: str
    query: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, written: str, like: str) -> "Address":
        """Take an address apart; `like` says what it must look like. Raises AddressError."""
        found = _WHOLE.fullmatch(written)
        if not found:  # a # is left over, or there is no scheme
            raise AddressError(f"{like}; {ESCAPES}")
        authority, rest = found["authority"], written[found.end("authority") :]
        before, at, place = authority.rpartition("@")
        # An @ further on means that the password ended the authority too early.
        if _STRAY.search(before) or not _PLACE.fullmatch(place) or (authority and "@" in rest):
            raise AddressError(f"{like}; {ESCAPES}")
        query = parse_qsl(found["query"] or "", keep_blank_values=True)
        return cls(found["scheme"], before if at else None, place, found["path"], tuple(query))

    def __repr__(self) -> str:
        return f"Address({self.scheme}://…)"

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.scheme}://{user}{self.place}{self.path}{query}"

    def get(self, name: str) -> str | None:
        """A parameter; the first, if it stands there twice."""
        return next((value for known, value in self.query if known == name), None)


def database_address(written: str) -> str:
    """The ledger's, for SQLAlchemy: people write postgresql:// or postgres://, our driver is psycopg 3.

    >>> database_address("postgres://shop:p%40ss@db/worker")
    'postgresql+psycopg://shop:p%40ss@db/worker'
    """
    address = Address.read(written, DATABASE)
    if address.scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise AddressError(DATABASE)
    return f"postgresql+psycopg{written[len(address.scheme) :]}"


def redis_address(written: str) -> str:
    """The intake's, for redis-py.

    >>> redis_address("rediss://cache/0?ssl_cert_reqs=CERT_NONE")
    'rediss://cache/0?ssl_cert_reqs=none'
    """
    address = Address.read(written, REDIS)
    if ";" in (address.user or ""):  # kombu would end the address there
        raise AddressError(f"{REDIS}; {ESCAPES}")
    _redis_database(address)
    return _spelled(address, written)


def broker_address(written: str) -> str:
    """Celery's, for kombu, which takes other brokers and several at once, too: these are as they are.

    >>> broker_address("rediss://cache/1?ssl_cert_reqs=CERT_REQUIRED")
    'rediss://cache/1?ssl_cert_reqs=required'
    """
    several = written.split(";")
    if len(several) > 1 and not all(re.match(r"[a-z][a-z0-9+]*://", one) for one in several):
        raise AddressError(f"{REDIS}; {ESCAPES}")
    if not re.match(r"rediss?://[^;]*$|redis\+socket://", written):
        return written
    return _spelled(Address.read(written, REDIS), written)


def next_database(redis_url: str) -> str:
    """The broker that goes with an intake: same server, next database. Parameters that kombu does not know
    stay behind.

    >>> next_database("redis://cache:6379/0")
    'redis://cache:6379/1'
    >>> next_database("unix:///run/redis.sock?db=2")
    'redis+socket:///run/redis.sock?virtual_host=3'
    """
    if not redis_url:
        return ""
    address = Address.read(redis_url, REDIS)
    number = _redis_database(address) + 1
    if address.scheme == "unix":
        path = address.path.replace(";", "%3B")  # kombu takes several addresses, parted by that
        return str(replace(address, scheme="redis+socket", path=path, query=(("virtual_host", str(number)),)))
    of_tls = tuple((name, value) for name, value in address.query if name.startswith("ssl_"))
    return str(replace(address, path=f"/{number}", query=of_tls))


def _redis_database(address: Address) -> int:
    """The number of the database. redis-py takes what is no number for 0, which may be somebody else's."""
    if address.scheme == "unix" and address.path and not address.place:  # unix://run/… is a host
        number = address.get("db")
    elif address.scheme in ("redis", "rediss"):
        number = address.get("db") or address.path.strip("/")
    else:
        raise AddressError(REDIS)
    if not re.fullmatch(r"[0-9]{0,5}", number or ""):
        raise AddressError(f"{REDIS}; what stands for the database is no number")
    return int(number or 0)


def _spelled(address: Address, written: str) -> str:
    """The address with ssl_cert_reqs in the one spelling that everybody takes."""
    given = address.get("ssl_cert_reqs")
    if given is None:
        return written
    word = given.lower().removeprefix("cert_")
    if word not in CERT_REQS:
        raise AddressError(f"has an ssl_cert_reqs that is none of {', '.join(_both(CERT_REQS))}")
    return str(replace(address, query=tuple(_with(dict(address.query), ssl_cert_reqs=word))))


def _both(words: Iterable[str]) -> list[str]:
    return [f"{word} (CERT_{word.upper()})" for word in words]


def _with(query: Mapping[str, str], **changed: str) -> Iterable[tuple[str, str]]:
    return {**query, **changed}.items()
