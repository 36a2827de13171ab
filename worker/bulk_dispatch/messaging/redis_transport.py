"""The broker's queues: Celery's transport over Redis, that works on where Redis is full, and hands on what is
no task instead of ending over it.

A Redis that is full (`maxmemory`, `noeviction`) refuses whatever may take memory. kombu then can neither note
what it took from a queue, which is lost with that, nor start, nor (before Redis 7) acknowledge anything: so
nobody empties the queue that fills it. But a script that has written once is let come to its end [Redis:
`scriptVerifyOOM` in script.c; in 6.2 `luaRedisGenericCommand` in scripting.c]. What we write here is little,
and serves to take more away.
"""

from base64 import b64decode, b64encode
from functools import cached_property
from time import time
from typing import Any
from uuid import uuid4

from kombu.transport.redis import REFRESH_BINDING, Channel, QoS
from kombu.utils.json import dumps, loads

FOREIGN = "application/x-foreign"
"""The content type of what came out of a queue and was no envelope of a task. Nobody reads it."""

_ROOM = "redis.call('PERSIST', KEYS[1])\n"  # a write that takes no memory; none of these keys has an end

_TAKE = f"""{_ROOM}
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""

# The process that takes it out of the notes puts it back: no other can have done so.
_RESTORE = """
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
for i = 3, #KEYS do redis.call(ARGV[2], KEYS[i], ARGV[i]) end
return 1
"""

_PUT = f"""{_ROOM}
redis.call('LPUSH', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
end
"""

_BIND = f"{_ROOM} for _, key in ipairs(KEYS) do redis.call('SADD', key, ARGV[1]) end"


class _Pushes:
    """Stands in for a pipeline, to learn what would be pushed where."""

    def __init__(self) -> None:
        self.side = "LPUSH"
        self.pushed: dict[str, str] = {}

    def lpush(self, key: str, payload: str) -> None:
        self.pushed[key] = payload

    def rpush(self, key: str, payload: str) -> None:
        self.side = "RPUSH"
        self.pushed[key] = payload


class InHand(QoS):
    """What was taken from the queues and is not acknowledged yet."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Have in hand what was taken; see kombu."""
        self.note(message, delivery_tag)
        super(QoS, self).append(message, delivery_tag)

    def note(self, message: Any, delivery_tag: str) -> None:
        """Note what was taken, by Redis's clock: hosts need not agree on the time, and theirs may be set."""
        info = message.delivery_info
        noted = dumps([message._raw, info["exchange"], info["routing_key"]])  # noqa: SLF001 - kombu has its own form
        with self.channel.conn_or_acquire() as client:
            client.eval(_TAKE, 2, self.unacked_index_key, self.unacked_key, delivery_tag, noted)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put back into its queue what was taken from it; see kombu."""
        pushes = _Pushes()
        with self.channel.conn_or_acquire(client) as found:
            if noted := found.hget(self.unacked_key, tag):
                self.channel._do_restore_message(*loads(noted), pushes, leftmost)  # noqa: SLF001
            keys = [self.unacked_index_key, self.unacked_key, *pushes.pushed]
            found.eval(_RESTORE, len(keys), *keys, tag, pushes.side, *pushes.pushed.values())

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Put back what was taken long ago, by a worker that died with it; see kombu. That can wait for some
        room."""
        try:
            super().restore_visible(*args, **options)
        except self.channel.ResponseError as problem:
            if not _is_full(problem):
                raise

    @property
    def visibility_timeout(self) -> float:
        """As kombu has it, which subtracts it from the time of this host to learn what was taken too long
        ago: so that the difference is right by Redis's clock."""
        with self.channel.conn_or_acquire() as client:
            return float(self.channel.visibility_timeout + time() - client.time()[0])


class Queues(Channel):
    """The queues in one Redis database."""

    QoS = InHand

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        """A wake-up, or an answer to its caller: what we put there is little."""
        if options.get("_publish_batch") is not None:
            super()._put(queue, message, **options)
            return
        first = self._get_message_priority(message, reverse=False)
        lists = [self._q_for_pri(queue, step) for step in (first, *self.priority_steps)]
        with self.conn_or_acquire() as client:
            client.eval(_PUT, len(lists), *lists, dumps(message), self._expires.get(queue, ""))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except self.ResponseError as problem:
            if not _is_full(problem):
                raise
            member = self.sep.join([routing_key or "", pattern or "", queue or ""])
            tables = [kind % (exchange,) for kind in (self.keyprefix_queue, self.keyprefix_binding_permanent)]
            with self.conn_or_acquire() as client:
                client.eval(_BIND, len(tables), *tables, member)

    @cached_property
    def _refresh_binding(self) -> Any:
        return self._create_client().register_script(_ROOM + REFRESH_BINDING)

    def _get_client(self) -> Any:
        client: Any = super()._get_client()

        class Client(client):
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                """kombu reads what BRPOP brings as an envelope, and does not survive if it is none."""
                reply = super().parse_response(connection, command_name, **options)
                if command_name == "BRPOP" and reply:
                    return [reply[0], enveloped(reply[1], reply[0].decode(errors="replace"))]
                return reply

            def pipeline(self, *_: Any, **__: Any) -> Any:
                """Without MULTI: before Redis 7 a full one takes nothing between that and EXEC, not even
                what reads or frees memory. Nothing here needs it: what does is a script."""
                return super().pipeline(transaction=False)

        return client if self.global_keyprefix else Client


def _is_full(problem: Exception) -> bool:
    """Whether Redis refused because it is full."""
    return "maxmemory" in str(problem)


def enveloped(item: bytes, queue: str) -> bytes:
    """What came out of a queue, as the envelope of a task; what is none is put into one, as its body."""
    try:
        if _is_envelope(loads(item)):
            return item
    except Exception:  # noqa: S110 - whatever the reason: kombu could not read it either
        pass
    properties = {
        "delivery_tag": str(uuid4()),
        "delivery_info": {"exchange": queue, "routing_key": queue},
        "body_encoding": "base64",
    }
    envelope = {
        "body": b64encode(item).decode(),
        "content-type": FOREIGN,
        "content-encoding": "binary",
        "headers": {},
        "properties": properties,
    }
    return str(dumps(envelope)).encode()


def _is_envelope(found: Any) -> bool:
    """Whether kombu can make a message of it. What is in that is for others to judge."""
    properties = found["properties"]
    info = properties["delivery_info"]
    tag, exchange, routing_key = properties["delivery_tag"], info["exchange"], info["routing_key"]
    if properties.get("body_encoding") == "base64":
        b64decode(found["body"])
    return all(
        (
            isinstance(found.get("headers") or {}, dict),
            properties.get("body_encoding") in (None, "base64"),
            isinstance(found.get("body"), str | None),
            *(isinstance(one, str) for one in (tag, exchange, routing_key)),
        )
    )
