"""Dispatcher: what applications hold. It puts messages into the intake, or straight into the ledger."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.config.settings import DURABILITIES, FSYNC, Settings, SettingsError, check_choice
from bulk_dispatch.domain.message import (
    PRODUCER_LIMIT,
    ClientIdConflict,
    Foreseen,
    Lane,
    Message,
    Said,
    check_send_at,
)
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.validation import check_name, client_id_of, instant
from bulk_dispatch.packing import of_one_lane, parcels

if TYPE_CHECKING:  # each of these is loaded when first needed
    from bulk_dispatch.intake import Intake, Parcel
    from bulk_dispatch.ledger import Ledger
    from bulk_dispatch.ledger.conflicts import ConflictCursor, RecordedConflict
    from bulk_dispatch.ledger.joined import CallersConnection
    from bulk_dispatch.ledger.queries import History
    from bulk_dispatch.messaging.wakeup import Notifier
    from bulk_dispatch.routing import Route

HIGH_WATER = 200_000  # messages in a lane's stream; a producer waits while there are more

FSYNCED_TOGETHER = 20
"""Parcels for which one fsync is waited: ten thousand messages, since it may take a second."""


class EnqueueError(RuntimeError):
    """The message could not be handed over, and is not. One sentence; try again later."""


class FsyncUnconfirmedError(EnqueueError):
    """The messages are in Redis, which has not confirmed that they are on its disk.

    The same call may safely be repeated under the same client ids: the ledger knows them again.
    """


class Dispatcher:
    """Hands messages over. Safe to share between threads; open one per process and keep it.

    What `enqueue` promises when it returns: the messages are in Redis, and will be sent once per client id.
    Redis writes its log to disk every second, so a power cut (not a crash) may lose about the last second.
    With `durability="fsync"`, of one call, or of the settings for all, Redis has confirmed that they are on
    its disk; with `connection=` the promise is your own commit.
    """

    def __init__(self, settings: Settings) -> None:
        """One for these settings. With `durability` fsync it asks Redis at once whether it can confirm that,
        unless Redis is away. Raises SettingsError if it cannot."""
        self._settings = settings
        if settings.durability == FSYNC:
            self._check_fsync()

    @classmethod
    def from_env(cls, *, durability: str | None = None) -> "Dispatcher":
        """A dispatcher for the WORKER_… environment variables. Raises SettingsError, naming the variable.
        `durability`, "redis" or "fsync", goes before WORKER_DURABILITY."""
        settings = Settings.from_env()
        settings = replace(settings, durability=_durability(durability, settings))
        if settings.embedded:
            raise SettingsError(
                "WORKER_DATABASE_URL and WORKER_REDIS_URL are not set; `worker up` prints the ones it serves"
            )
        return cls(settings)

    def enqueue(
        self,
        message: Message,
        *,
        connection: "CallersConnection | None" = None,
        durability: str | None = None,
    ) -> None:
        """Hand over one message; it leaves within milliseconds if nothing is ahead of it.

        With `connection`, the message is written into the ledger inside your own transaction: it exists if
        and only if you commit. That is a connection or a session of SQLAlchemy, a connection of psycopg, or
        `django.db.connection`. Call `notify()` after the commit, or it waits for the next tick (a second).
        Raises MessageError naming the field, ClientIdConflict (only with `connection`: through Redis a
        conflict is found later, and recorded), TypeError for another kind of connection, ValueError for one
        that is in no transaction, EnqueueError if Redis is away.

        With `durability="fsync"` it returns once Redis has the message on its disk. Raises
        FsyncUnconfirmedError if Redis does not confirm that, and SettingsError if it never can; nothing is
        enqueued then. ValueError beside `connection`.
        """
        fsync = _durability(durability, self._settings) == FSYNC
        routed = self.accept(message)
        if connection is None:
            for parcel in parcels([routed]):
                with _handing_over(parcel.count):
                    self._add([parcel], fsync=fsync)
        elif durability is not None:
            raise ValueError("durability is not for connection=: there the message is as safe as your commit")
        else:
            self._write(connection, [routed])

    def enqueue_many(
        self,
        messages: Iterable[Message],
        progress: Callable[[int], None] = lambda _: None,
        *,
        durability: str | None = None,
    ) -> int:
        """Hand over any number of messages, in constant memory; returns how many.

        Waits while more than HIGH_WATER messages of a lane are ahead. `progress` is told the count so far.
        Raises like `enqueue`; messages before the one at fault are handed over (hand the rest over again:
        client ids make that safe). With `durability="fsync"` one fsync is awaited for some thousands.
        """
        return self.hand_over(parcels(map(self.accept, messages)), progress, durability=durability)

    def hand_over(
        self,
        packed: "Iterable[Parcel]",
        progress: Callable[[int], None] = lambda _: None,
        *,
        durability: str | None = None,
    ) -> int:
        """Hand over what `parcels` has packed, as `enqueue_many` does after it."""
        fsync = _durability(durability, self._settings) == FSYNC
        count = 0
        for some in of_one_lane(packed, FSYNCED_TOGETHER if fsync else 1):
            messages = sum(parcel.count for parcel in some)
            with _handing_over(messages):
                self._add_when_there_is_room(some, fsync=fsync)
            count += messages
            progress(count)
        return count

    def accept(self, message: Message) -> Message:
        """The message as it would be handed over, its route filled in. Raises MessageError."""
        if message.send_at:
            check_send_at(message.send_at, datetime.now(UTC))
        return self._accept(message)

    def default_route(self) -> str:
        """The route of messages that name none; empty if there are several and none is the default. `accept`
        need not copy a message made with it, which takes a third of the time to make one."""
        from bulk_dispatch.routing import default_route

        return default_route(self._lines)

    def region(self, route: str = "") -> str:
        """The country of numbers that name none, as a route has it, or the default one; empty for none."""
        from bulk_dispatch.routing import region_of_route

        return region_of_route(route, self._lines)

    def status(self, client_id: str, producer: str = "") -> "History | None":
        """What the ledger knows of a message; None if it has not seen it (it may still be in Redis). A client
        id is a producer's own: of another's message under the same id this tells nothing."""
        from bulk_dispatch.ledger.queries import history

        with self._ledger.begin() as connection:
            return history(connection, client_id, producer)

    def foresee(self, messages: "Sequence[Message]") -> Foreseen:
        """What the ledger would say to messages if they arrived now. What still waits in Redis it has not
        seen. Raises LedgerError."""
        from bulk_dispatch.ledger.transitions import foresee

        with self._ledger.begin() as connection:
            return foresee(connection, messages)

    def said_in(self, campaign: str) -> "Iterator[Said]":
        """What the messages of a campaign say that the ledger has. Raises LedgerError."""
        from bulk_dispatch.ledger.transitions import said_in

        with self._ledger.snapshot() as connection:
            yield from said_in(connection, campaign)

    def notices(self, names: "Iterable[str]", lanes: "Iterable[Lane]") -> list[str]:
        """What who hands over should know: that nobody takes it, or does not know the routes it names.
        Nothing if Redis is away: handing over says that."""
        from bulk_dispatch.intake import IntakeError
        from bulk_dispatch.monitoring.heartbeat import read_heartbeats
        from bulk_dispatch.monitoring.readiness import nobody_works, routes_unknown_to_workers

        try:
            now, heartbeats = read_heartbeats(self._intake)
        except IntakeError:
            return []
        told = (
            nobody_works(now, heartbeats, {lane.value for lane in lanes}),
            routes_unknown_to_workers(now, heartbeats, set(names)),
        )
        return [sentence for sentence in told if sentence]

    def lacks(self) -> str:
        """What the settings of the ledger's server lack, in one sentence; empty if nothing, or if it is away:
        handing over does not depend on it. Raises TooOldError for one that will never do."""
        return self._ledger.lacks()

    def conflicts(
        self, producer: str = "", after: "datetime | str | None" = None, limit: int | None = None
    ) -> "Iterator[RecordedConflict]":
        """What a producer handed over and was not sent, because the client id stood for something else; the
        oldest first, `limit` of it at most.

        `after` leaves out what was recorded until that instant. A conflict is seen when ingest has met it and
        committed; so who asks again and again asks from a minute before the last one seen, or misses what
        two workers recorded at the same time. Raises MessageError for a name or an instant that is none.
        """
        producer = client_id_of(producer)
        check_name("producer", producer, 0, PRODUCER_LIMIT)
        return islice(self._conflicts(producer, instant("after", after)), limit)

    def notify(self, message: Message | None = None) -> None:
        """Say that messages were committed with `connection=`; all routes are told, or the message's own."""
        names = [self._accept(message).route] if message else list(self._lines)
        lanes = [message.lane] if message else list(Lane)
        for name in names:
            for lane in lanes:
                self._notifier.notify("dispatch", f"{name}:{lane.value}")

    def close(self) -> None:
        """Close what was opened."""
        self.__dict__.pop("_notifier", None)
        for part in ("_intake", "_ledger"):
            if part in self.__dict__:
                self.__dict__.pop(part).close()

    # -- the way in

    def _check_fsync(self) -> None:
        """Now, and not with the first message; but an application may start while Redis is away."""
        from bulk_dispatch.intake import Intake

        with (
            suppress(EnqueueError),
            _handing_over(0),
            closing(Intake.connect(self._settings.redis_url, tries=0)) as intake,
        ):
            intake.check_fsync()

    def _add(self, some: "Sequence[Parcel]", *, fsync: bool) -> None:
        notifier = (
            self._notifier
        )  # first: what is wrong with the broker's address must be told before, not after
        self._intake.add_parcels(some, fsync=fsync)
        notifier.notify("ingest", some[0].lane.value)

    def _add_when_there_is_room(self, some: "Sequence[Parcel]", *, fsync: bool) -> None:
        """Back-pressure: Redis is for messages on their way, not for keeping them."""
        while not self._added(some, fsync=fsync):
            self._notifier.notify("ingest", some[0].lane.value)
            time.sleep(0.05)

    def _added(self, some: "Sequence[Parcel]", *, fsync: bool) -> bool:
        """Whether there was room for them, as others left it."""
        from bulk_dispatch.intake import CrowdedError

        if self._intake.waiting()[some[0].lane] >= HIGH_WATER:
            return False
        try:
            self._add(some, fsync=fsync)
        except CrowdedError:
            return False
        return True

    def _write(self, theirs: "CallersConnection", messages: list[Message]) -> None:
        from bulk_dispatch.ledger.joined import joined
        from bulk_dispatch.ledger.transitions import enqueue

        with joined(theirs) as connection:
            entered = enqueue(connection, messages)
        for conflict in entered.conflicts:
            raise ClientIdConflict(conflict.client_id, conflict.fields)

    # -- the record

    def _conflicts(self, producer: str, after: "datetime | None") -> "Iterator[RecordedConflict]":
        """Page by page, with no transaction held while the caller looks at one."""
        from bulk_dispatch.ledger.conflicts import after_all_of, conflicts_after

        place: ConflictCursor | None = after_all_of(after)
        while place is not None:
            with self._ledger.begin() as connection:
                page, place = conflicts_after(connection, producer, place, CHUNK)
            yield from page

    # -- opened when first needed

    @cached_property
    def _lines(self) -> "Mapping[str, Route]":
        from bulk_dispatch.routing import build_routes

        return build_routes(read_routes(self._settings.routes, secret=names_only))

    @cached_property
    def _accept(self) -> Callable[[Message], Message]:
        from bulk_dispatch.routing import accept

        return partial(accept, routes=self._lines)

    @cached_property
    def _intake(self) -> "Intake":
        from bulk_dispatch.intake import Intake

        return Intake.connect(self._settings.redis_url)

    @cached_property
    def _notifier(self) -> "Notifier":
        from bulk_dispatch.messaging.celery_app import celery_app
        from bulk_dispatch.messaging.wakeup import Notifier

        return Notifier(celery_app(self._settings.broker_url), self._intake)

    @cached_property
    def _ledger(self) -> "Ledger":
        from bulk_dispatch.ledger import Ledger

        return Ledger.connect(self._settings.database_url, connections=2)


@contextmanager
def _handing_over(count: int) -> Iterator[None]:
    """Say what did not happen when Redis is away, or an address is none, or no fsync is confirmed."""
    from bulk_dispatch.intake import IntakeError, NoFsyncError, UnsyncedError
    from bulk_dispatch.messaging.celery_app import BrokerError

    try:
        yield
    except NoFsyncError as problem:
        raise SettingsError(str(problem)) from None
    except UnsyncedError as problem:
        raise FsyncUnconfirmedError(
            f"{count} messages are in Redis, but perhaps not on its disk: {problem}; the same call may "
            "safely be repeated under the same client ids"
        ) from problem
    except (IntakeError, BrokerError) as problem:
        raise EnqueueError(f"{count} messages not handed over: {problem}") from problem


def _durability(asked: str | None, settings: Settings) -> str:
    """What a call asks for, or else the settings. Raises SettingsError."""
    if asked is None:
        return settings.durability
    check_choice("durability", asked, DURABILITIES)
    return asked
