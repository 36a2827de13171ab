"""The connection to Redis: what is asked twice, how long is waited, and what a failure is called."""

import math
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from bulk_dispatch.intake import scripts

ANSWER = 3
"""Seconds that Redis has for an answer, and for a connection. It needs a moment; what takes longer is a
network gone silent, and a process that waits for that hangs for as long after the network is back."""

FSYNC_ANSWER = 2.5
"""Seconds that Redis has to confirm an fsync. With `appendfsync everysec` it takes up to one, and on a busy
disk two. Less than ANSWER, within which it must have said that it cannot."""

TRIES = 6  # after the first: over a restart of a few seconds
CONNECTIONS = 100  # of a process, at most; opened as needed

PATIENCE = 60.0
"""Seconds to wait for a connection where all are in use: longer than one that uses it has patience with a
Redis that says nothing, so that a caller that waits is served when that is over, and not refused."""

KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not everywhere; there, ANSWER alone has to do
}
"""An idle connection is known to be dead 11 s after the network went silent, before anybody waits on it."""

Client: TypeAlias = "redis.Redis"


class IntakeError(RuntimeError):
    """Redis cannot be used. One sentence, no credential."""


class IntakeNotAllowedError(IntakeError):
    """Redis is there, and our account may not do that."""


class NoFsyncError(IntakeError):
    """This Redis, as it is set up, confirms no fsync. Nothing was written."""


class UnsyncedError(IntakeError):
    """It was written, and Redis has not confirmed that it is on the disk."""


class CrowdedError(IntakeError):
    """As many messages wait in a lane as may."""


class IntakeConnection:
    """What all commands of the intake are made of: scripts that Redis carries out in one step, and failures
    that are one sentence."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._scripts = {script: client.register_script(script) for script in scripts.ALL}

    @classmethod
    def connect(cls, url: str, tries: int = TRIES) -> Self:
        """The one at a Redis URL. Connects when first used; rides over a restart of a few seconds.

        `tries`: how often a command that may be repeated is tried again. Any number of threads may share it:
        one that finds all connections in use waits for one.
        Raises IntakeError for what is no such URL.
        """
        try:
            return cls(client_of(url, tries))
        except (ValueError, TypeError, redis.RedisError):  # their text may hold the password
            raise IntakeError(
                "WORKER_REDIS_URL must look like redis://host:6379/0 or unix:///path?db=0, with parameters "
                "that redis-py knows"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Have Redis carry out one of our scripts."""
        return self._scripts[script](keys, args)

    def _run_fsynced(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The same for one that returns something if it has written, and wait until that is on Redis's disk.
        Raises UnsyncedError.

        WAITAOF waits for what its own connection wrote last, and on a new connection for nothing: so both
        go together over one, and if the answer is lost both are repeated. The script then has to write again.
        """
        answer, fsynced = self._together(script, keys, args)
        if isinstance(answer, redis.exceptions.NoScriptError):
            self.client.script_load(script)
            answer, fsynced = self._together(script, keys, args)
        if isinstance(answer, Exception):
            raise answer
        if not answer:  # nothing was written: what it waited for is older
            return answer
        if isinstance(fsynced, Exception):
            raise UnsyncedError(f"Redis refuses: {fsynced}")
        if not fsynced[0]:
            raise UnsyncedError(f"Redis has confirmed no fsync within {FSYNC_ANSWER:g} s")
        return answer

    def _together(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        """What Redis answers to a script and to WAITAOF, over one connection; errors are answers."""
        with self.client.pipeline(transaction=False) as both:
            both.evalsha(self._scripts[script].sha, len(keys), *keys, *args)
            both.waitaof(1, 0, int(FSYNC_ANSWER * 1000))
            return both.execute(raise_on_error=False)

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


def _not_allowed(problem: redis.ResponseError, said: str) -> bool:
    """Of its own commands redis-py takes the word off; of those of a transaction it leaves it on; of those of
    a script Redis has sentences, before 7 and since."""
    if isinstance(problem, redis.exceptions.NoPermissionError) or said.startswith("NOPERM"):
        return True
    return "executing the script can't run" in said or "ACL failure in script" in said


_IN_SCRIPT = re.compile(r"^Error running script .*: -[A-Z]+ ")  # before Redis 7


class _Asked(threading.local):
    """What a thread asks just now."""

    failures: float = 0  # so often it failed already


_asked = _Asked()


@contextmanager
def once() -> Iterator[None]:
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


def client_of(url: str, tries: int) -> "redis.Redis":
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
    pool.connection_class(**pool.connection_kwargs)  # checks the parameters, and does not connect
    return redis.Redis.from_pool(pool)


def _kept_alive(url: str) -> dict[str, Any]:
    if url.startswith("unix:"):
        return {}
    return {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
