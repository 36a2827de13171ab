"""The way to the broker, kept up whatever Redis does: going away, coming back, or answering with an error.

Without a supervisor: no process of ours may end by it. Celery's consumer takes up its work again after what
its transport calls a connection error, and lets its process end after anything else.
"""

from collections import deque
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar, Self

from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis as kombu_redis

from bulk_dispatch.messaging.redis_transport import InHand, Queues


class BrokerConnection(Connection):
    """A connection to the broker that is made again soon after the broker is back, however long it was away.

    By itself Celery would wait two seconds longer after each vain attempt, up to thirty.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        """See kombu. A caller that asks for other intervals gets them."""
        soon = {"interval_start": 1, "interval_step": 1, "interval_max": 2}
        super().ensure_connection(*args, **{**soon, **options})
        return self

    def get_transport_cls(self) -> Any:
        """See kombu. The one for Redis takes an error that Redis answers for weather."""
        transport: Any = super().get_transport_cls()
        return _weathered(transport) if issubclass(transport, kombu_redis.Transport) else transport

    def _do_close_transport(self) -> None:
        """See kombu 5.7, whose transport forgets its address here. But what was in hand when the connection
        was lost is handed back, or acknowledged, by way of that transport; and Celery 5.7 closes a lost
        connection twice."""
        self._transport = None

    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:  # noqa: N802 - kombu's name
        """See kombu, which does not keep the kind of a connection in its pools."""
        return _Pool(self, limit, **options)


class _Pooled(BrokerConnection, PooledConnection):
    """One of a pool."""


class _Pool(ConnectionPool):
    def new(self) -> _Pooled:
        return _Pooled(self, **dict(self.connection._info(resolve=False)))  # noqa: SLF001 - as kombu does


class _QoS(InHand):
    """Lets go of tasks: of one whose channel was closed since it came, too, and of those that could not be
    let go of when their time was, once it is possible. Else Redis would keep them for an hour before it gives
    them out again; and what `bulk_dispatch.enqueue` hands back holds messages. One that Redis gave, and then
    would not note, goes back: it is nowhere else."""

    _owed: ClassVar[deque[Callable[[], None]]] = deque(maxlen=1000)

    def note(self, message: Any, delivery_tag: str) -> None:
        try:
            super().note(message, delivery_tag)
        except self.channel.connection_errors:
            self._owed.append(partial(self.channel.reopened, partial(self._put_back, message, delivery_tag)))
            raise

    def _put_back(self, message: Any, delivery_tag: str) -> None:
        """Into its queue, once more if the answer is lost: what is in it may be done twice."""
        super().note(message, delivery_tag)
        self.restore_by_tag(delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self._let_go(delivery_tag, partial(super().ack, delivery_tag))

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self._let_go(delivery_tag, partial(super().reject, delivery_tag, requeue=requeue))

    def _let_go(self, delivery_tag: str, act: Callable[[], None]) -> None:
        """Raises if Redis is away, or refuses. The hand is free all the same: a worker that lost one each
        time would consume nothing in the end."""
        self._quick_ack(delivery_tag)
        act = partial(self.channel.reopened, act)
        try:
            act()
        except self.channel.connection_errors:
            self._owed.append(act)
            raise
        self.pay()

    def pay(self) -> None:
        """Do what could not be done when its time was."""
        for act in [*self._owed]:
            self._owed.popleft()
            try:
                act()
            except self.channel.connection_errors:
                self._owed.append(act)
                return


class _Channel(Queues):
    """A channel that can still be used by a worker that holds a task that came over it, once it is closed."""

    QoS = _QoS

    def __init__(self, transport: Any, **options: Any) -> None:
        super().__init__(transport, **options)
        self._known = (self.connection, self.exchange_types)

    def basic_consume(self, *args: Any, **options: Any) -> None:
        """See kombu. Redis is back, if it was away."""
        super().basic_consume(*args, **options)
        self.qos.pay()

    def reopened(self, act: Callable[[], None]) -> None:
        """Do something with what `close` took away; in the thread that consumes, like all of this."""
        now = (self.connection, self.exchange_types)
        self.connection, self.exchange_types = self._known
        try:
            act()
        finally:
            self.connection, self.exchange_types = now


@cache
def _weathered(transport: Any) -> type:
    """A transport of kombu's for Redis (plain, TLS, Sentinel) to which every error that Redis may answer is a
    lost connection: READONLY after a fail-over, LOADING, MISCONF, NOAUTH, OOM, UNBLOCKED. Most come from a
    server whose place another has taken: so its address is looked up again, too."""
    channel = type(transport.Channel.__name__, (_Channel, transport.Channel), {})
    errors = (*transport.connection_errors, *transport.channel_errors)
    return type(transport.__name__, (transport,), {"Channel": channel, "connection_errors": errors})
