"""Connections that notice when the network behind them has gone silent.

A network that swallows packets says nothing: a process that waits for an answer over it waits on. The
kernel's own time-outs find out in 11 s (see `KERNEL`), unless somebody between acknowledges every byte, as
proxies and service meshes do. So a process that has waited a while asks the server, over a new connection,
whether it is still at work on the statement. A slow statement is waited for; one that the server knows
nothing of is given up.

A pooler between, such as PgBouncer, gives its clients process ids that the server knows nothing of. Whoever
asks by way of one learns nothing, so nothing is given up: there the kernel's time-outs are alone.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from time import monotonic
from typing import Any, Self, TypeVar

import psycopg

KERNEL: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds that what we send may stay unacknowledged
}
"""What libpq asks of the kernel, on TCP. Together at most 11 s, so that 15 s are enough to come back."""

SILENCE = 5.0  # seconds after which the server is asked; nearly every statement of ours takes milliseconds
AGAIN = 1.0  # seconds to the next question: the answer may have been under way when the first was asked
ASKING = 3  # seconds to connect for a question, and as many for the answer; libpq takes 2 at least

_AT_WORK = """
SELECT pg_backend_pid(), count(*) FROM pg_stat_activity
WHERE pid = %s AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
"""  # Client: the server waits for us while we wait for it, so one does not hear the other

T = TypeVar("T")
_Steps = Generator[Any, Any, T]


class ConnectionLostError(psycopg.OperationalError):
    """The server says that it is at work on nothing of ours; what we wait for will not come."""


class ProbingConnection(psycopg.Connection[Any]):
    """A connection that gives up what its server is not at work on."""

    silence = SILENCE
    again = AGAIN
    address: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # password included: to ask there

    @classmethod
    def open(cls, *args: Any, **options: Any) -> Self:
        """Connect, as psycopg does, and remember where."""
        connection = cls.connect(*args, **options)
        connection.address = args, options
        return connection

    def wait(self, gen: _Steps[T], *args: Any, **options: Any) -> T:
        """Everything that waits for the server comes by here. Raises OperationalError when it gives up."""
        try:
            return super().wait(
                heeded(gen, self._is_forgotten, silence=self.silence, again=self.again), *args, **options
            )
        except ConnectionLostError:
            self.pgconn.finish()  # closed, so that the pool knows it for dead, and all that are as old
            raise

    def _is_forgotten(self) -> bool | None:
        """Whether the server is not at work on what we wait for; None if it cannot be asked."""
        if self.address is None:
            return None
        args, options = self.address
        options = {**options, "connect_timeout": ASKING, "autocommit": True}
        with suppress(psycopg.Error), _Question.connect(*args, **options) as question:
            own, at_work = question.execute(_AT_WORK, (self.info.backend_pid,)).fetchone() or (0, 0)
            if own == question.info.backend_pid:  # else a pooler is between, and no id is what it seems
                return not at_work
        return None


class _Question(ProbingConnection):
    """A connection to ask by, that is given up itself when no answer comes."""

    silence = ASKING
    again = 0.0

    def _is_forgotten(self) -> bool:
        return True


def heeded(
    steps: _Steps[T],
    is_forgotten: Callable[[], bool | None],
    *,
    silence: float = SILENCE,
    again: float = AGAIN,
    clock: Callable[[], float] = monotonic,
) -> _Steps[T]:
    """The same steps, with an eye on how long nothing came. psycopg sends a false value when nothing did.

    Raises ConnectionLostError when the server has said twice that it is at work on nothing of ours.
    """
    suspected, look_at = False, clock() + silence
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if ready:
                suspected, look_at = False, clock() + silence
            elif clock() >= look_at:
                forgotten = is_forgotten()
                if forgotten and suspected:
                    raise ConnectionLostError("no answer, and the server is at work on nothing of ours")
                suspected, look_at = bool(forgotten), clock() + (silence if forgotten is False else again)
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
