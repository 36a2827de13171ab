"""Intake: the Redis streams applications enqueue into, one a lane, many messages an entry.

Keys: `worker:intake:LANE` (stream; fields `n`, how many messages, and `m`, a JSON array of them),
`worker:intake:LANE:waiting` (messages in that stream, kept in the same step as the stream),
`worker:intake:LANE:unrouted` (set of the routes that messages of a lane name and no worker knew),
`worker:intake:LANE:unrouted:ROUTE` (a stream of these messages, like that of a lane, with its `:waiting`),
`worker:intake:dead` (stream of what could not be entered, with the reason), `worker:bell:NAME` (a doorbell
rung a moment ago), `worker:marks` (hash; what each process last did, see worker.marks), `worker:reload`
(hash; how often all processes, and each, were asked to read the routes again). Reading is at least once: an
entry is deleted only when the ledger has it, and one read by a process that died is read again.
"""

import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, cast

import orjson  # to write only: where a number is beyond 64 bits it reads another
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from worker.sms.message import Lane, Message

GROUP = "ingest"
CONSUMER = "ingest"  # one name for all: what a dead process had read is then told by its idle time alone
DEAD = "worker:intake:dead"
MARKS = "worker:marks"
RELOAD = "worker:reload"
FLEET = "*"  # no node has that name

ANSWER = 3
"""Seconds that Redis has for an answer, and for a connection. It needs a moment; what takes longer is a
network gone silent, and who waits for that is deaf for as long after the network is back."""

ROOM = 0.9  # of Redis's memory that producers may fill
CROWDED = 200_000  # messages that wait in a lane; whatever comes then does so over a limit of memory, too
TIGHT = 0.7  # of it; who looks after Redis should know

TRIES = 6  # after the first: over a restart of a few seconds

KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not everywhere; there, ANSWER alone has to do
}
"""An idle connection is known to be dead 11 s after the network went silent, before anybody waits on it."""


class IntakeError(RuntimeError):
    """Redis cannot be used. One sentence, no credential."""


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


class Asked(NamedTuple):
    """How often the routes were asked to be read again."""

    fleet: int = 0  # of all processes
    own: int = 0  # of this one, or of the pool of processes it is of

    @classmethod
    def read(cls, counts: Sequence[str | None]) -> "Asked":
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


# Entries until there are so many, or so many octets: first those whose reader died, then as much of new ones.
# An entry may hold one message or a thousand: so one is asked for at first, then as many again each time, as
# far as there is room for them if they are as large as the largest so far; never more than 16, for small ones
# say nothing of what comes after them. A look for those of dead readers passes over ten others for each that
# it may bring: looking goes on, but not through all that may be in work.
_READ = """
local group, consumer, idle = ARGV[1], ARGV[2], ARGV[3]
local entries, octets = tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {}
local function gather(looks, bring)
  local count, size, largest = 0, 0, 1
  while looks > 0 and count < entries and size < octets do
    local room = math.max(1, math.floor((octets - size) / largest))
    local some = bring(math.min(room, math.max(1, count), entries - count, 16))
    if not some then return end
    looks = looks - 1
    for _, entry in ipairs(some) do
      if entry and entry[2] then
        local own = 0
        for _, part in ipairs(entry[2]) do own = own + #part end
        count, size, largest = count + 1, size + own, math.max(largest, own)
        found[#found + 1] = {entry[1], entry[2], own}
      end
    end
  end
end
local from = '0-0'
gather(100, function(count)
  if not from then return end
  local lapsed = redis.call('XAUTOCLAIM', KEYS[1], group, consumer, idle, from, 'COUNT', count)
  from = lapsed[1] ~= '0-0' and lapsed[1]
  return lapsed[2]
end)
gather(entries, function(count)
  local fresh = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', KEYS[1], '>')
  return fresh and fresh[1][2]
end)
return found
"""

# A full Redis refuses what may take memory, but a script that has written once is let come to its end [Redis:
# scriptVerifyOOM in script.c; in 6.2 luaRedisGenericCommand in scripting.c]. So those who empty it go on. For
# what is little, or serves to take more away; not for producers. What has an end has it no more. Before
# Redis 7 it takes nothing at all between MULTI and EXEC, not even questions.
_EVEN_IF_FULL = "redis.call('PERSIST', KEYS[1])\n"

_ADD = f"""{_EVEN_IF_FULL}
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[3]) then return nil end
local id = redis.call('XADD', KEYS[1], '*', 'n', ARGV[1], 'm', ARGV[2])
redis.call('INCRBY', KEYS[2], ARGV[1])
return id
"""

_BURY = f"""{_EVEN_IF_FULL}
return redis.call('XADD', KEYS[1], '*', 'lane', ARGV[1], 'reason', ARGV[2], 'content', ARGV[3])
"""

_RING = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
return 1
"""

# Acknowledge and delete entries, and lower the count by what was really deleted: an entry that two
# processes worked on is counted once. An empty stream sets the count right: somebody may have written into
# the stream and not counted, or counted otherwise. Then keep elsewhere what could not be taken in (KEYS[3]:
# ARGV[2] letters of three arguments), and what names a route that is not known (from KEYS[4] on: routes,
# stream and count; as many arguments: route, how many, messages). Deleting comes first: so a full Redis takes
# the rest.
_DONE = """
local dead, aside = tonumber(ARGV[2]), (#KEYS - 3) / 3
local gone = 0
for i = 3 + 3 * (dead + aside), #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then gone = gone + tonumber(ARGV[i + 1]) end
end
if redis.call('XLEN', KEYS[1]) == 0 or redis.call('DECRBY', KEYS[2], gone) < 0 then
  redis.call('SET', KEYS[2], 0)
end
for a = 3, 3 * dead, 3 do
  redis.call('XADD', KEYS[3], '*', 'lane', ARGV[a], 'reason', ARGV[a + 1], 'content', ARGV[a + 2])
end
for k = 4, #KEYS, 3 do
  local a = 3 * dead + k - 1
  redis.call('SADD', KEYS[k], ARGV[a])
  redis.call('XADD', KEYS[k + 1], '*', 'n', ARGV[a + 1], 'm', ARGV[a + 2])
  redis.call('INCRBY', KEYS[k + 2], ARGV[a + 1])
end
return gone
"""

# Forget a place in which nothing waits, and nobody has anything of it in hand.
_TIDY = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return redis.call('SREM', KEYS[3], ARGV[1])
"""

# Redis's clock and not the process's: who judges by it must not depend on two hosts agreeing on the time.
_MARK = f"""{_EVEN_IF_FULL}
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d.%06d ', now[1], now[2]) .. ARGV[2])
return redis.call('HMGET', KEYS[2], ARGV[3], ARGV[4])
"""


class Intake:
    """The streams of one Redis database."""

    def __init__(self, client: "redis.Redis") -> None:
        self.client = client
        self._read = client.register_script(_READ)
        self._done = client.register_script(_DONE)
        self._tidy = client.register_script(_TIDY)
        self._mark = client.register_script(_MARK)
        self._ring = client.register_script(_RING)
        self._bury = client.register_script(_BURY)
        self._add_even_if_full = client.register_script(_ADD)
        self._roomy_until = 0.0

    @classmethod
    def connect(cls, url: str, tries: int = TRIES) -> "Intake":
        """An intake at a Redis URL. Connects when first used; rides over a restart of a few seconds.

        `tries`: how often a command is tried again. One repeated after a lost connection may add an entry
        twice: the ledger absorbs that.
        Raises IntakeError for what is no such URL.
        """
        try:
            client = redis.Redis.from_url(
                url,
                decode_responses=True,
                encoding_errors="surrogateescape",  # foreign bytes spoil their own message, not the reading
                socket_timeout=ANSWER,
                socket_connect_timeout=ANSWER,
                retry=Retry(ExponentialBackoff(cap=1, base=0.05), tries),
                retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError],
                **_kept_alive(url),
            )
        except (ValueError, TypeError):  # their text may hold the password
            raise IntakeError(
                "the address of Redis must look like redis://host:6379/0 or unix:///path?db=0"
            ) from None
        return cls(client)

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
            return self.add_even_if_full(parcel)
        self._leave_room()
        with explained(), self.client.pipeline(transaction=True) as both:
            both.xadd(_stream(parcel.lane), {"n": parcel.count, "m": parcel.payload})
            both.incrby(_waiting(parcel.lane), parcel.count)
            entry_id, _ = both.execute()
        return str(entry_id)

    def add_even_if_full(self, parcel: Parcel) -> str:
        """Append what must not wait for room: urgent messages, and those that are in Redis already, in the
        broker's queue, and take less room here. Else nobody would empty that queue, and who fills it would
        hold up everybody. Returns the entry's id.

        Raises IntakeError if Redis is away, or the lane is CROWDED.
        """
        keys = [_stream(parcel.lane), _waiting(parcel.lane)]
        with explained():
            entry_id = self._add_even_if_full(keys, [parcel.count, parcel.payload, CROWDED])
        if entry_id is None:
            raise IntakeError(f"{CROWDED} {parcel.lane} messages wait in Redis already")
        return str(entry_id)

    def _leave_room(self) -> None:
        """Producers stop before Redis is full: rings and acknowledgements take memory too, and where they are
        refused nobody empties the streams any more. Asked once a second."""
        if time.monotonic() < self._roomy_until:
            return
        if self.fullness() > ROOM:
            raise IntakeError(f"Redis is more than {ROOM:.0%} full; the rest is for those who empty it")
        self._roomy_until = time.monotonic() + 1

    def fullness(self) -> float:
        """The part of Redis's `maxmemory` that is used; 0 without a limit, and where we may not ask."""
        with explained():
            try:
                memory = self.client.info("memory")
            except redis.ResponseError:  # an account that may not; Redis itself still refuses when full
                return 0.0
        most = int(memory.get("maxmemory", 0))
        return int(memory["used_memory"]) / most if most else 0.0

    def waiting(self) -> dict[Lane, int]:
        """Messages given to us that are not in the ledger yet, by lane; but for those that were set aside."""
        with explained():
            counts = self.client.mget([_waiting(lane) for lane in Lane])
        return {lane: int(count or 0) for lane, count in zip(Lane, counts, strict=True)}

    # -- the ingest stage

    def read(self, place: Place, entries: int, idle: timedelta, octets: int = 2**31) -> list[Entry]:
        """Entries that were read `idle` ago and never finished, until there are `entries` of them or they
        have `octets` together; then as many new ones. The last may be more than fits: 16 at most."""
        keys = [_stream(place)]
        args: list[str | int] = [GROUP, CONSUMER, int(idle.total_seconds() * 1000), entries, octets]
        with explained():
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
        sizes = [part for entry in entries for part in (entry.id, entry.counted)]
        letters = [part for letter in dead for part in letter.parts]
        keys = [_stream(place), _waiting(place), DEAD]
        args: list[str | int | bytes] = [GROUP, len(dead), *letters]
        for route, values in (unrouted or {}).items():
            aside = Unrouted(_lane(place), route)
            keys += [_routes(aside.lane), _stream(aside), _waiting(aside)]
            args += [route, len(values), Parcel.of_plain(aside.lane, values).payload]
        with explained():
            self._done(keys, [*args, *sizes])

    def bury(self, letter: DeadLetter) -> None:
        """Keep what could not be taken in, with the reason."""
        with explained():
            self._bury([DEAD], letter.parts)

    def dead_letters(self) -> int:
        """How many letters lie in the dead-letter stream."""
        with explained():
            return int(self.client.xlen(DEAD))

    def read_dead(self, most: int = 100) -> list[tuple[str, Mapping[str, str]]]:
        """The oldest dead letters: id and fields `lane`, `reason`, `content`."""
        with explained():
            letters = cast("list[Any]", self.client.xrange(DEAD, count=most))
        return [(str(letter_id), dict(fields)) for letter_id, fields in letters]

    # -- what names a route that no worker knew

    def unrouted_routes(self, lane: Lane) -> set[str]:
        """The routes for which messages of a lane were set aside."""
        with explained():
            return {str(route) for route in cast("set[Any]", self.client.smembers(_routes(lane)))}

    def unrouted(self) -> list[SetAside]:
        """All that was set aside, by lane and route."""
        places = [Unrouted(lane, route) for lane in Lane for route in sorted(self.unrouted_routes(lane))]
        with explained(), self.client.pipeline(transaction=False) as looks:  # see _EVEN_IF_FULL
            for place in places:
                looks.get(_waiting(place))
                looks.xrange(_stream(place), count=1)
            counts = looks.execute()
        return [
            SetAside(place, int(count or 0), _instant(oldest[0][0]))
            for place, count, oldest in zip(places, counts[::2], counts[1::2], strict=True)
            if oldest
        ]

    def set_aside(self) -> int:
        """How many messages were set aside, in all."""
        return sum(one.messages for one in self.unrouted())

    def overdue(self, place: Unrouted, wait: timedelta, entries: int) -> list[Entry]:
        """The oldest entries that have waited there for so long, whoever may have them in hand."""
        with explained():
            seconds, _ = self.client.time()
            until = int((seconds - wait.total_seconds()) * 1000)
            found = cast("list[Any]", self.client.xrange(_stream(place), max=until, count=entries))
        return [_entry(place.lane, id_, [*chain(*fields.items())], 0) for id_, fields in found]

    def tidy(self, place: Unrouted) -> None:
        """Forget a place if nothing waits there any more."""
        with explained():
            self._tidy([_stream(place), _waiting(place), _routes(place.lane)], [place.route])

    def _make_group(self, place: Place) -> None:
        """From 0, not from now: what was added before the group existed counts too."""
        try:
            self.client.xgroup_create(_stream(place), GROUP, id="0", mkstream=True)
        except redis.ResponseError as problem:
            if "BUSYGROUP" not in str(problem):
                raise

    # -- doorbells

    @staticmethod
    def bell_key(bell: str) -> str:
        """The key of a doorbell."""
        return f"worker:bell:{bell}"

    def first_ring(self, bell: str, quiet: timedelta) -> bool:
        """Whether this doorbell was silent; it counts as ringing until answered, or `quiet` is over."""
        with explained():
            key = self.bell_key(bell)
            return bool(self._ring([key], [int(quiet.total_seconds() * 1000)]))

    def answered(self, bell: str) -> None:
        """Somebody came to the door: the next ring is heard again."""
        with explained():
            self.client.delete(f"worker:bell:{bell}")

    # -- marks of work done

    def leave_mark(self, node: str, facts: Mapping[str, object], process: str = "") -> Asked:
        """Write down what a process says of itself, beside the instant by Redis's own clock. Returns what it
        was asked meanwhile. Several may have the name of one node: each has a mark of its own."""
        with explained():
            place = f"{node}#{process}" if process else node
            counts = self._mark(keys=[MARKS, RELOAD], args=[place, json.dumps(facts), FLEET, node])
        return Asked.read(cast("list[str | None]", counts))

    def marks(self) -> tuple[datetime, dict[str, tuple[datetime, Mapping[str, Any]]]]:
        """Redis's clock now; and of every process, NODE or NODE#PROCESS, when it last said something, and
        what."""
        with explained(), self.client.pipeline(transaction=False) as both:  # see _EVEN_IF_FULL
            both.time()
            both.hgetall(MARKS)
            (seconds, micros), found = both.execute()
        now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)
        return now, {node: _said(raw) for node, raw in found.items()}

    def forget_marks(self, *places: str) -> None:
        """Processes that ended in peace, or are long gone, leave no mark. Places are those of `marks`."""
        with explained():
            self.client.hdel(MARKS, *places)
            left = {node_of(str(place)) for place in cast("list[Any]", self.client.hkeys(MARKS))}
            if nodes := {node_of(place) for place in places} - left:
                self.client.hdel(RELOAD, *nodes)

    # -- routes to be read again

    def ask_to_reload(self, node: str = FLEET) -> int:
        """Ask a process, or all, to read the routes again. Returns the how manieth time it is."""
        with explained():
            return int(self.client.hincrby(RELOAD, node, 1))

    def asked_to_reload(self, node: str) -> Asked:
        """How often a process was asked."""
        with explained():
            return Asked.read(cast("list[str | None]", self.client.hmget(RELOAD, FLEET, node)))

    # -- doctor

    def configuration(self) -> dict[str, str]:
        """What the doctor looks at: `maxmemory-policy`, `appendonly`, `save`."""
        with explained():
            names = ("maxmemory-policy", "appendonly", "save")
            return {name: str(self.client.config_get(name).get(name, "")) for name in names}


@contextmanager
def explained() -> Iterator[None]:
    """Turn 'no server', and 'not now' (full, read-only, not allowed), into one sentence."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as problem:
        raise IntakeError(f"Redis cannot be reached: {problem}") from problem
    except redis.ResponseError as problem:
        # redis-py puts the command in front, which can hold a number: no word of it, nor of the cause.
        raise IntakeError(f"Redis refuses: {str(problem).rpartition('caused error: ')[2]}") from None


def node_of(place: str) -> str:
    """The node of a process that has a mark there."""
    return place.partition("#")[0]


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


def _instant(entry_id: str) -> datetime:
    """When an entry was written: its id begins with that, in milliseconds."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)


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


def _unreadable(entry: Entry, fields: Mapping[str, str], why: str) -> Entry:
    return replace(entry, raw=json.dumps(fields), unreadable=why)
