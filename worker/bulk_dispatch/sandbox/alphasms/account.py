"""The memory of one AlphaSMS customer: messages of both dialects, jobs, money."""

from typing import NamedTuple

from bulk_dispatch.sandbox.account import Account, Entry
from bulk_dispatch.sandbox.alphasms.codes import State
from bulk_dispatch.sandbox.journal import Journal

VIBER = "viber"  # in place of the number that tells the type of an SMS


class Taken(NamedTuple):
    """A message the provider has, and what will become of it. Instants are seconds since 1970."""

    own_id: int | None
    sms_id: int  # `msg_id` in Viber answers
    recipient: str
    digest: str
    type: str
    segments: int
    taken_at: float
    known_at: float  # in a job, `status` does not know the message before
    begin_at: float  # scheduled until then
    first_at: float
    final_at: float
    end: int  # the final state

    @property
    def number(self) -> int:
        """See `Record`."""
        return self.sms_id

    def state(self, now: float) -> State:
        """One of the codes of sheet section 6."""
        if now >= self.final_at:
            return State(self.end)
        if now >= (self.first_at + self.final_at) / 2:
            return State.ENROUTE
        if now >= self.first_at:
            return State.SENDING
        return State.SCHEDULED if now < self.begin_at else State.ACCEPTED

    def state_name(self, now: float) -> str:
        """`queued` while a job has not got to it."""
        return "queued" if now < self.known_at else self.state(now).name.lower()

    def shown(self, now: float) -> dict[str, object]:
        """See `Record`."""
        code = self.state(now) if now >= self.known_at else None
        return {**self._asdict(), "end": State(self.end).name.lower(), "end_code": self.end, "code": code}


class Job(NamedTuple):
    """An asynchronous task: WAITING, RUNNING, then its end (sheet section 3.3)."""

    id: str
    running_at: float
    full_at: float  # when all its messages would be processed
    ends_at: float
    end: str  # COMPLETE, FAILED, or NOTFOUND for one that is forgotten from the start

    def look(self, now: float, kept: float) -> tuple[int, str]:
        """Progress in percent and status; `kept` seconds after its end it is forgotten."""
        if self.end == "NOTFOUND" or now > self.ends_at + kept:
            return 0, "NOTFOUND"
        if now < self.running_at:
            return 0, "WAITING"
        done = min(now, self.ends_at) - self.running_at
        progress = (
            int(100 * done / (self.full_at - self.running_at)) if self.full_at > self.running_at else 100
        )
        return (progress, "RUNNING") if now < self.ends_at else (progress, self.end)


class Refused(NamedTuple):
    """A message refused inside a job: `status` by own id is the only place to learn of it."""

    own_id: int
    code: int
    known_at: float


class More(NamedTuple):
    """What one request changed besides messages."""

    cost: float
    told_later: list[Refused]
    job: Job | None


class AlphasmsAccount(Account[Taken]):
    """Both dialects lead to it: their messages have numbers of one row, and cost the same money."""

    def __init__(self, journal: Journal | None, money: float) -> None:
        self._money = money
        super().__init__("alphasms", Taken, journal)

    def forget(self) -> None:
        """Back to a new account, with the money it began with."""
        super().forget()
        self.balance = self._money
        self._told_later: dict[int, Refused] = {}
        self._jobs: dict[str, Job] = {}

    def remember_more(self, entry: Entry) -> None:
        """Money, jobs, and refusals in them."""
        if entry.more is None:
            return
        cost, told_later, job = entry.more
        self.balance -= cost
        self._told_later.update({one[0]: Refused(*one) for one in told_later})
        if job:
            self._jobs[job[0]] = Job(*job)
            self.tally(entry.door).jobs += 1

    def told_later(self, own_id: int) -> Refused | None:
        """The refusal inside a job, if that is what became of this own id."""
        return self._told_later.get(own_id)

    def job(self, job_id: str) -> Job | None:
        """The job of this number."""
        return self._jobs.get(job_id)

    def known(self, number: int, now: float, *, by_own_id: bool) -> Taken | None:
        """The message, unless it waits in a job."""
        taken = self.by_own_id(number) if by_own_id else self.by_number(number)
        return taken if taken and now >= taken.known_at else None

    def delete(self, taken: Taken, door: str, now: float) -> Taken:
        """The message as it is after an attempt to delete it: changed if nobody has handed it on yet."""
        if now >= taken.first_at:
            return taken
        deleted = taken._replace(
            begin_at=min(taken.begin_at, now), first_at=now, final_at=now, end=int(State.DELETED)
        )
        self.keep(Entry(door, 0, changed=[deleted]))
        return deleted
