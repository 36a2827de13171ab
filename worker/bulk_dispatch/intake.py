"""Intake: the Redis streams applications enqueue into, one a lane, many messages an entry.

Keys: `worker:intake:LANE` (stream; fields `n`, how many messages, and `m`, a JSON array of them),
`worker:intake:LANE:waiting` (messages in that stream, kept in the same step as the stream),
`worker:intake:LANE:unrouted` (set of the routes that messages of a lane name and no worker knew),
`worker:intake:LANE:unrouted:ROUTE` (a stream of these messages, like that of a lane, with its `:waiting`),
`worker:intake:dead` (stream of what could not be entered, with the reason), `worker:intake:token:THREAD`
(which entry a thread added last, for two minutes), `worker:wakeup:NAME` (a wake-up sent a moment ago),
`worker:heartbeats` (hash; what each process last did: monitoring.heartbeat), `worker:reload` (hash; how often
all processes, and each, were asked to read the routes again). Reading is at least once: an entry is deleted
when the ledger has it, and one read by a process that died is read again.
"""

import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from secrets import token_hex
from typing import Any, NamedTuple, TypeAlias, cast

import orjson  # to write only: where a number is beyond 64 bits it reads another
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from bulk_dispatch import intake_scripts as scripts
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.redis_server import RedisServer, fullness

GROUP = "ingest"
CONSUMER = "ingest"  # one name for all: what a dead process had read is then told by its idle time alone
DEAD = "worker:intake:dead"
HEARTBEATS = "worker:heartbeats"
RELOAD = "worker:reload"
FLEET = "*"  # no node has that name

ANSWER = 3
"""Seconds that Redis has for an answer, and for a connection. It needs a moment; what takes longer is a
network gone silent, and a process that waits for that hangs for as long after the network is back."""

ROOM = 0.9  # of Redis's memory that producers may fill
TIGHT = 0.7  # of it; who looks after Redis should know

TRIES = 6  # after the first: over a restart of a few seconds

CONNECTIONS = 100  # of a process, at most; opened as needed

PATIENCE = 60.0
"""Seconds to wait for a connection where all are in use: longer than one that uses it has patience with a
Redis that says nothing, so that who waits is served when that is over, and not told that there is none."""

KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not everywhere; there, ANSWER alone has to do
}
"""An idle connection is known to be dead 11 s after the network went silent, before anybody waits on it."""


class IntakeError(RuntimeError):
    """Redis cannot be used. One sentence, no credential."""


class IntakeNotAllowedError(IntakeError):
    """Redis is there, and our account may not do that."""


class CrowdedError(IntakeError):
    """As many messages wait in a lane as may."""


class Unrouted(NamedTuple):
    """Where those messages of a lane wait whose route no worker knew that has read them."""

    lane: Lane
    route: str  # empty: they name none, and there was no default


Place: TypeAlias = Lane | Unrouted
"""What has a stream of its own."""


class SetAside(NamedTuple):
    """What waits in such a place."""

    place: Unrouted
    messages: int
    since: datetime  # the oldest, by Redis's clock


class DispatchRequest(NamedTuple):
    """How often the routes were asked to be read again."""

    fleet: int = 0  # of all processes
    own: int = 0  # of this one, or of the pool of processes it is of

    @classmethod
    def read(cls, counts: Sequence[str | None]) -> "DispatchRequest":
        """As Redis has them; it may have forgotten them."""
        return cls(*(int(count or 0) for count in counts))


@dataclass(frozen=True, slots=True)
class Entry:
    """What one XADD brought: raw messages, or the reason why it cannot be read."""

    id: str
    lane: Lane
    counted: int  # what it added to the count of waiting messages
    messages: Sequence[object] = field(default=(), repr=False)
    raw: str = field(default="", repr=False)
    unreadable: str = ""
    octets: int = 0  # how large it is


@dataclass(frozen=True, slots=True)
class Parcel:
    """Messages of one lane as they are added: one entry."""

    lane: Lane
    count: int
    payload: bytes = field(repr=False)

    @classmethod
    def of(cls, lane: Lane, messages: Sequence[Message]) -> "Parcel":
        """These messages, written down."""
        return cls(lane, len(messages), orjson.dumps([message.as_dict() for message in messages]))

    @classmethod
    def of_plain(cls, lane: Lane, values: Sequence[object]) -> "Parcel":
        """Messages as plain values, as they came: whoever reads them is the judge."""
        return cls(lane, len(values), json.dumps(values).encode())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or a whole entry, that could not be entered into the ledger."""

    lane: Lane
    reason: str
    content: str = field(repr=False)

    @classmethod
    def about(cls, lane: Lane, reason: str, content: object) -> "DeadLetter":
        """A letter about any value, kept as JSON."""
        try:
            kept = json.dumps(content, ensure_ascii=True, default=repr)
        except RecursionError:  # it could just be read, but not be written
            kept = json.dumps("nested too deep to be kept")
        return cls(lane, reason, kept)

    @property
    def parts(self) -> list[str]:
        """As it is kept: lane, reason, content."""
        return [self.lane.value, self.reason, self.content]


class Intake:
    """The streams of one Redis database.

    A command whose answer was lost may have been carried out. It is repeated, unless it is asked `_once`:
    docs/reference/redis.md says of each why.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self.client = client
        self._threads = threading.local()
        self._add = client.register_script(scripts.ADD)
        self._read = client.register_script(scripts.READ)
        self._done = client.register_script(scripts.DONE)
        self._tidy = client.register_script(scripts.TIDY)
        self._heartbeat = client.register_script(scripts.HEARTBEAT)
        self._take_in = client.register_script(scripts.TAKE_IN)
        self._notify = client.register_script(scripts.WAKEUP)
        self._roomy_until = 0.0

    @classmethod
    def connect(cls, url: str, tries: int = TRIES) -> "Intake":
        """An intake at a Redis URL. Connects when first used; rides over a restart of a few seconds.

        `tries`: how often a command that may be repeated is tried again. Any number of threads may share it:
        who finds all connections in use waits for one.
        Raises IntakeError for what is no such URL.
        """
        try:
            return cls(_client(url, tries))
        except (ValueError, TypeError, redis.RedisError):  # their text may hold the password
            raise IntakeError(
                "WORKER_REDIS_URL must look like redis://host:6379/0 or unix:///path?db=0, with parameters "
                "that redis-py knows"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    # -- producers

    def add(self, lane: Lane, messages: Sequence[Message]) -> str:
        """Append one entry holding these messages; see `add_parcel`."""
        return self.add_parcel(Parcel.of(lane, messages))

    def add_parcel(self, parcel: Parcel) -> str:
        """Append one entry. Its id is the receipt.

        Raises IntakeError if Redis is away, or so full that its last room is for those who empty it, and for
        urgent messages.
        """
        if parcel.lane is Lane.URGENT:
            return self.take_in([parcel], ())  # they do not wait for room
        self._leave_room()
        keys = [self._token_key(), _stream(parcel.lane), _waiting(parcel.lane)]
        with self._explained():
            return str(self._add(keys, [token_hex(8), parcel.count, parcel.payload]))

    def take_in(self, parcels: Sequence[Parcel], dead: Sequence[DeadLetter]) -> str:
        """Append and bury what is in Redis already, in the broker's queue, and takes less room here; in one
        step, so that nothing of it is here twice because something of it was refused. It need not wait for
        room: else nobody would empty that queue, and who fills it would hold up everybody. Returns the id of
        the last.

        Raises CrowdedError, and IntakeError if Redis is away.
        """
        streams = [key for one in parcels for key in (_stream(one.lane), _waiting(one.lane))]
        keys = [self._token_key(), *streams, *([DEAD] if dead else [])]
        args: list[Any] = [token_hex(8), len(parcels), len(dead)]
        args += [part for parcel in parcels for part in (parcel.count, parcel.payload)]
        args += [part for letter in dead for part in letter.parts]
        with self._explained():
            last = str(self._take_in(keys, args) or "")
        if not last:
            lanes = " or ".join(sorted({parcel.lane for parcel in parcels}))
            raise CrowdedError(f"{scripts.CROWDED} {lanes} messages wait in Redis already")
        return last

    def _token_key(self) -> str:
        """Where this thread leaves the token of what it adds."""
        if not hasattr(self._threads, "name"):
            self._threads.name = token_hex(8)
        return f"worker:intake:token:{self._threads.name}"

    def _leave_room(self) -> None:
        """Producers stop before Redis is full: wake-ups and acknowledgements take memory too, and where they
        are refused nobody empties the streams any more. Asked once a second."""
        if time.monotonic() < self._roomy_until:
            return
        if (self.fullness() or 0) > ROOM:  # where we may not ask, Redis itself refuses when it is full
            raise IntakeError(f"Redis is more than {ROOM:.0%} full; the rest is for those who empty it")
        self._roomy_until = time.monotonic() + 1

    def fullness(self) -> float | None:
        """The part of Redis's `maxmemory` that is used; 0 without a limit, None where we may not ask."""
        with self._explained():
            return fullness(self.client)

    def waiting(self) -> dict[Lane, int]:
        """Messages given to us that are not in the ledger yet, by lane; but for those that were set aside."""
        with self._explained():
            counts = self.client.mget([_waiting(lane) for lane in Lane])
        return {lane: int(count or 0) for lane, count in zip(Lane, counts, strict=True)}

    # -- the ingest stage

    def read(self, place: Place, entries: int, idle: timedelta, octets: int = 2**31) -> list[Entry]:
        """Entries that were read `idle` ago and never finished, until there are `entries` of them or they
        have `octets` together; then as many new ones. The last may be more than fits: 16 at most."""
        keys = [_stream(place)]
        args: list[str | int] = [GROUP, CONSUMER, int(idle.total_seconds() * 1000), entries, octets]
        with self._explained():
            try:
                found = self._read(keys, args)
            except redis.ResponseError as problem:
                if "NOGROUP" not in str(problem):
                    raise
                # Only now, once in the life of a stream: a Redis short of memory would refuse it each time.
                self._make_group(place)
                found = self._read(keys, args)
        return [_entry(_lane(place), *one) for one in cast("list[Any]", found)]

    def done(
        self,
        place: Place,
        entries: Sequence[Entry],
        dead: Sequence[DeadLetter] = (),
        unrouted: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        """Delete entries that the ledger has, bury what it could not take, and set aside what names a route
        that is not known, by that name; in one step."""
        aside = {route: Parcel.of_plain(_lane(place), values) for route, values in (unrouted or {}).items()}
        places = [Unrouted(_lane(place), route) for route in aside]
        keys = [_stream(place), _waiting(place), DEAD, _routes(_lane(place))]
        keys += [key for one in places for key in (_stream(one), _waiting(one))]
        args: list[Any] = [GROUP, len(entries), len(dead), len(aside)]
        args += [part for entry in entries for part in (entry.id, entry.counted)]
        args += [part for letter in dead for part in letter.parts]
        args += [part for route, parcel in aside.items() for part in (route, parcel.count, parcel.payload)]
        with self._explained():
            self._done(keys, args)

    def bury(self, letter: DeadLetter) -> None:
        """Keep what could not be taken in, with the reason."""
        self.take_in((), [letter])

    def dead_letters(self) -> int:
        """How many letters lie in the dead-letter stream."""
        with self._explained():
            return int(self.client.xlen(DEAD))

    def read_dead(
        self, most: int = 100, after: str = "", until: str = "+"
    ) -> list[tuple[str, Mapping[str, str]]]:
        """The oldest dead letters after one and until another: id and fields `lane`, `reason`, `content`."""
        with self._explained():
            letters = cast("list[Any]", self.client.xrange(DEAD, f"({after}" if after else "-", until, most))
        return [(str(letter_id), dict(fields)) for letter_id, fields in letters]

    def find_dead(self, letter: str) -> Mapping[str, str] | None:
        """The fields of one dead letter; None if there is none of that id."""
        if not _ENTRY_ID.fullmatch(letter):
            return None
        with self._explained():
            found = cast("list[Any]", self.client.xrange(DEAD, letter, letter))
        return dict(found[0][1]) if found else None

    def newest_dead(self) -> str:
        """The id of the newest dead letter; empty if there is none."""
        with self._explained():
            newest = cast("list[Any]", self.client.xrevrange(DEAD, count=1))
        return str(newest[0][0]) if newest else ""

    def forget_dead(self, letters: Sequence[str]) -> int:
        """Delete these dead letters. Returns how many of them there were."""
        with self._explained():
            return int(self.client.xdel(DEAD, *letters)) if letters else 0

    # -- what names a route that no worker knew

    def unrouted_routes(self, lane: Lane) -> set[str]:
        """The routes for which messages of a lane were set aside."""
        with self._explained():
            return {str(route) for route in cast("set[Any]", self.client.smembers(_routes(lane)))}

    def unrouted(self) -> list[SetAside]:
        """All that was set aside, by lane and route."""
        places = [Unrouted(lane, route) for lane in Lane for route in sorted(self.unrouted_routes(lane))]
        with self._explained(), self.client.pipeline(transaction=False) as looks:  # see _EVEN_IF_FULL
            for place in places:
                looks.get(_waiting(place))
                looks.xrange(_stream(place), count=1)
            counts = looks.execute()
        return [
            SetAside(place, int(count or 0), instant_of(oldest[0][0]))
            for place, count, oldest in zip(places, counts[::2], counts[1::2], strict=True)
            if oldest
        ]

    def set_aside(self) -> int:
        """How many messages were set aside, in all."""
        return sum(one.messages for one in self.unrouted())

    def overdue(self, place: Unrouted, wait: timedelta, entries: int) -> list[Entry]:
        """The oldest entries that have waited there for so long, whoever may have them in hand."""
        with self._explained():
            seconds, _ = self.client.time()
            until = int((seconds - wait.total_seconds()) * 1000)
            found = cast("list[Any]", self.client.xrange(_stream(place), max=until, count=entries))
        return [_entry(place.lane, id_, [*chain(*fields.items())], 0) for id_, fields in found]

    def tidy(self, place: Unrouted) -> None:
        """Forget a place if nothing waits there any more."""
        with self._explained():
            self._tidy([_stream(place), _waiting(place), _routes(place.lane)], [place.route])

    def _make_group(self, place: Place) -> None:
        """From 0, not from now: what was added before the group existed counts too."""
        try:
            self.client.xgroup_create(_stream(place), GROUP, id="0", mkstream=True)
        except redis.ResponseError as problem:
            if "BUSYGROUP" not in str(problem):
                raise

    # -- wake-up

    @staticmethod
    def wakeup_key(name: str) -> str:
        """The key of a wake-up."""
        return f"worker:wakeup:{name}"

    def claim_wakeup(self, name: str, quiet: timedelta) -> bool:
        """Whether this wake-up is to be sent: none is on its way. One counts as on its way until it is
        acknowledged, or `quiet` is over."""
        with self._explained(), _once():
            key = self.wakeup_key(name)
            return bool(self._notify([key], [int(quiet.total_seconds() * 1000)]))

    def acknowledge(self, name: str) -> None:
        """A worker has begun the step: the next wake-up is sent again."""
        with self._explained():
            self.client.delete(f"worker:wakeup:{name}")

    # -- heartbeats

    def write_heartbeat(self, node: str, facts: Mapping[str, object], process: str = "") -> DispatchRequest:
        """Write down what a process says of itself, beside the instant by Redis's own clock. Returns what it
        was asked meanwhile. Several may have the name of one node: each has a heartbeat of its own."""
        with self._explained():
            place = f"{node}#{process}" if process else node
            counts = self._heartbeat(keys=[HEARTBEATS, RELOAD], args=[place, json.dumps(facts), FLEET, node])
        return DispatchRequest.read(cast("list[str | None]", counts))

    def heartbeats(self) -> tuple[datetime, dict[str, tuple[datetime, Mapping[str, Any]]]]:
        """Redis's clock now; and of every process, NODE or NODE#PROCESS, when it last said something, and
        what."""
        with self._explained(), self.client.pipeline(transaction=False) as both:  # see _EVEN_IF_FULL
            both.time()
            both.hgetall(HEARTBEATS)
            (seconds, micros), found = both.execute()
        now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)
        return now, {node: _said(raw) for node, raw in found.items()}

    def forget_heartbeats(self, *places: str) -> None:
        """Processes that ended in peace, or are long gone, have no heartbeat. Places are those of
        `heartbeats`."""
        with self._explained():
            self.client.hdel(HEARTBEATS, *places)
            left = {node_of(str(place)) for place in cast("list[Any]", self.client.hkeys(HEARTBEATS))}
            if nodes := {node_of(place) for place in places} - left:
                self.client.hdel(RELOAD, *nodes)

    # -- routes to be read again

    def ask_to_reload(self, node: str = FLEET) -> int:
        """Ask a process, or all, to read the routes again. Returns the how manieth time it is."""
        with self._explained(), _once():
            return int(self.client.hincrby(RELOAD, node, 1))

    def asked_to_reload(self, node: str) -> DispatchRequest:
        """How often a process was asked."""
        with self._explained():
            return DispatchRequest.read(cast("list[str | None]", self.client.hmget(RELOAD, FLEET, node)))

    # -- doctor

    def takes(self) -> None:
        """Raises IntakeError if Redis is away, or takes nothing that is written."""
        name = f"doctor-{token_hex(8)}"
        self.claim_wakeup(name, timedelta(seconds=1))
        self.acknowledge(name)

    def server(self) -> RedisServer:
        """How the server is set up, and how full it is."""
        with self._explained():
            return RedisServer.of(self.client)

    # -- trouble

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn 'no server', and 'not now' (full, read-only, not allowed), into one sentence."""
        _asked.failures = 0
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as problem:
            raise IntakeError(f"Redis cannot be reached: {problem}") from problem
        except redis.InvalidResponse:  # which would quote what came
            raise IntakeError("Redis cannot be reached: what answers there is no Redis") from None
        except redis.ResponseError as problem:
            # redis-py puts the command in front, which can hold a number: no word of it, nor of the cause.
            said = _IN_SCRIPT.sub("", str(problem).rpartition("caused error: ")[2])
            if isinstance(problem, redis.ReadOnlyError) or "-READONLY " in str(problem):
                self._connect_anew()
            kind = IntakeNotAllowedError if _not_allowed(problem, said) else IntakeError
            raise kind(f"Redis refuses: {said}") from None

    def _connect_anew(self) -> None:
        """Another may be the master by now, at the same address: a connection never learns of it."""
        self.client.connection_pool.disconnect(inuse_connections=False)


def node_of(place: str) -> str:
    """The node of a process that has a heartbeat there."""
    return place.partition("#")[0]


def _not_allowed(problem: redis.ResponseError, said: str) -> bool:
    """Of its own commands redis-py takes the word off; of those of a transaction it leaves it on; of those of
    a script Redis has sentences, before 7 and since."""
    if isinstance(problem, redis.exceptions.NoPermissionError) or said.startswith("NOPERM"):
        return True
    return "executing the script can't run" in said or "ACL failure in script" in said


def _lane(place: Place) -> Lane:
    return place.lane if isinstance(place, Unrouted) else place


def _stream(place: Place) -> str:
    if isinstance(place, Unrouted):
        return f"{_routes(place.lane)}:{place.route}"
    return f"worker:intake:{place.value}"


def _waiting(place: Place) -> str:
    return f"{_stream(place)}:waiting"


def _routes(lane: Lane) -> str:
    return f"worker:intake:{lane.value}:unrouted"


_IN_SCRIPT = re.compile(r"^Error running script .*: -[A-Z]+ ")  # before Redis 7


_ENTRY_ID = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")


def instant_of(entry_id: str) -> datetime:
    """When an entry was written: its id begins with that, in milliseconds."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)


class _Asked(threading.local):
    """What a thread asks just now."""

    failures: float = 0  # so often it failed already


_asked = _Asked()


@contextmanager
def _once() -> Iterator[None]:
    """What this thread asks is not repeated, whatever becomes of the answer."""
    _asked.failures = math.inf
    try:
        yield
    finally:
        _asked.failures = 0


class _Repeats(Retry):
    """Repeats what is asked after so many failures, whichever part of it they were. By itself redis-py counts
    anew for a connection: for the first, and within each try of a command.

    What is asked once has failed too often from the start. A pool of its own for such would be one more to
    find dead after each silence of the network.
    """

    def call_with_retry(self, do: Any, fail: Any, *args: Any, **options: Any) -> Any:
        def failed(problem: Exception, *count: int) -> None:
            fail(problem, *count)
            _asked.failures += 1
            if _asked.failures > self._retries:
                raise problem

        return super().call_with_retry(do, failed, *args, **options)


def _client(url: str, tries: int) -> "redis.Redis":
    """A client that tries a command so often again if it got no answer, nor a connection."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=PATIENCE,
        decode_responses=True,
        encoding_errors="surrogateescape",  # foreign bytes spoil their own message, not the reading
        socket_timeout=ANSWER,
        socket_connect_timeout=ANSWER,
        retry=_Repeats(ExponentialBackoff(cap=1, base=0.05), tries),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError],
        **_kept_alive(url),
    )
    pool.connection_class(**pool.connection_kwargs)  # judges the parameters, and connects to nobody
    return redis.Redis.from_pool(pool)


def _kept_alive(url: str) -> dict[str, Any]:
    if url.startswith("unix:"):
        return {}
    return {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}


def _said(raw: str) -> tuple[datetime, Mapping[str, Any]]:
    instant, _, facts = raw.partition(" ")
    return datetime.fromtimestamp(float(instant), UTC), json.loads(facts)


def _entry(lane: Lane, entry_id: str, flat: Sequence[str], octets: int) -> Entry:
    """An entry of a stream, whose fields and values are given by turns."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    raw, counted = fields.get("m", ""), fields.get("n", "")
    counts = counted.isdecimal() and len(counted) < 10  # not one of ours otherwise
    entry = Entry(entry_id, lane, int(counted) if counts else 0, octets=octets)
    try:
        messages = json.loads(raw)
    except (ValueError, RecursionError):
        return _unreadable(entry, fields, "the entry is not JSON")
    if not isinstance(messages, list):
        return _unreadable(entry, fields, "the entry is not a JSON array of messages")
    return replace(entry, messages=messages)


def _unreadable(entry: Entry, fields: Mapping[str, str], reason: str) -> Entry:
    return replace(entry, raw=json.dumps(fields), unreadable=reason)
