"""The memory of the make-believe webcom: messages, what is scheduled, the stop list, money."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, NamedTuple

from bulk_dispatch.sandbox.account import Account, Entry
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.webcom.options import WebcomOptions

NAME = "webcom"
DOOR = "webcom-xml"
SEND = "send"


class Change(NamedTuple):
    """From this instant a channel is in this state, and the message as a whole in that one."""

    at: float
    channel: str
    state: str
    whole: str


class Taken(NamedTuple):
    """A message the gateway has, and what will become of it. Instants are seconds since 1970."""

    own_id: int | None  # client_id_sms
    number: int  # id_sms
    recipient: str  # digits
    digest: str  # see `content_digest`
    parts: int
    taken_at: float
    begin_at: float  # scheduled until then
    waits: bool  # for money; then the plan runs from the top-up on
    plan: Sequence[Sequence[Any]]  # of `Change`s, as bare lists when they come from the journal
    final_at: float

    @property
    def deleted(self) -> bool:
        """Its schedule was deleted."""
        return not self.plan

    def changes(self, now: float) -> list[Change]:
        """What has happened so far."""
        return [] if self.waits else [Change(*change) for change in self.plan if change[0] <= now]

    def state_name(self, now: float) -> str:
        """`send` and the other states of sheet section 4.1, or what has not come so far."""
        if self.deleted:
            return "deleted"
        if self.waits:
            return "waiting"
        if now < self.begin_at:
            return "scheduled"
        return self.changes(now)[-1].whole

    def shown(self, now: float) -> dict[str, object]:
        """All of it; no end of what was deleted, and no instant of it while money is awaited."""
        end = self.plan[-1][3] if self.plan else None
        final_at = None if self.waits else self.final_at
        return {**self._asdict(), "final_at": final_at, "end": end, "state": self.state_name(now)}


class Scheduled(NamedTuple):
    """What the list of scheduled messages tells (sheet section 7)."""

    number: int
    put_at: float
    originator: str
    phone: str
    kind: str
    text: str
    parts: int
    campaign: str
    begin_at: float
    until: float | None


class More(NamedTuple):
    """What an entry of the journal has besides messages."""

    parts: int = 0  # charged; below nought for what was given back
    scheduled: Sequence[Scheduled] = ()
    stopped: Sequence[str] = ()
    unstopped: Sequence[str] = ()
    url: str | None = None
    money: float = 0.0


class WebcomAccount(Account[Taken]):
    """One customer of webcom."""

    def __init__(self, options: WebcomOptions, journal: Journal | None) -> None:
        self._options = options
        super().__init__(NAME, Taken, journal)

    def forget(self) -> None:
        """Back to a new account."""
        self.stop_list = set(self._options.stop_list)
        self._scheduled: dict[int, Scheduled] = {}
        self._waiting: set[int] = set()
        self._parts = 0
        self._money = self._options.money
        super().forget()

    def remember_more(self, entry: Entry) -> None:
        """See `More`; from the journal it comes as bare lists."""
        more = More(*entry.more)
        self._parts += more.parts
        self._money += more.money
        self._scheduled.update({row[0]: Scheduled(*row) for row in more.scheduled})
        self.stop_list.update(more.stopped)
        self.stop_list.difference_update(more.unstopped)
        if more.url is not None:
            self.push_urls[DOOR] = more.url
        self._waiting.update(one.number for one in entry.taken if one.waits)
        for one in entry.changed:
            self._waiting.discard(one.number)
            if one.deleted:
                self._scheduled.pop(one.number, None)

    @property
    def money(self) -> float:
        """What is left."""
        return self._money - self._parts * self._options.price

    def waiting(self) -> list[Taken]:
        """For money, the oldest first."""
        return [one for number in sorted(self._waiting) if (one := self.by_number(number))]

    def scheduled(self, now: float) -> list[Scheduled]:
        """Not sent yet, the oldest first."""
        due = [number for number, one in self._scheduled.items() if one.begin_at <= now]
        for number in due:
            del self._scheduled[number]
        return [*self._scheduled.values()]

    def deletable(self, number: int, now: float) -> Taken | None:
        """The message, while it is scheduled."""
        scheduled = self._scheduled.get(number)
        return self.by_number(number) if scheduled and now < scheduled.begin_at else None


def deleted(one: Taken, now: float) -> Taken:
    """The same, its schedule deleted."""
    return one._replace(plan=(), waits=False, final_at=now)


def released(one: Taken, now: float) -> Taken:
    """The same, now that there is money: all that was to come, later by the time it has waited."""
    later = max(0.0, now - one.begin_at)
    plan = [Change(at + later, *rest) for at, *rest in one.plan]
    return one._replace(waits=False, plan=plan, final_at=plan[-1].at)


def held(one: Taken) -> Taken:
    """The same, without end until there is money."""
    return one._replace(waits=True, final_at=inf)


def parts(records: Iterable[Taken]) -> int:
    """Of all of them."""
    return sum(one.parts for one in records)
