"""The memory of the make-believe provider: what it took, and so what was sent twice or never."""

import hashlib
import time
from collections import Counter
from typing import Any, NamedTuple

from worker.sandbox.codes import State
from worker.sandbox.journal import Journal


class Taken(NamedTuple):
    """A message the provider has, and what will become of it. Instants are seconds since 1970.

    States are not moved on by timers: they are read off the clock when somebody asks.
    """

    own_id: int | None
    sms_id: int
    recipient: str
    digest: str  # see `content_digest`; the text itself is not kept
    type: str
    segments: int
    taken_at: float
    known_at: float  # in a job, `status` does not know the message before
    begin_at: float  # scheduled until then
    first_at: float
    final_at: float
    end: int  # the final state

    def state(self, now: float) -> State:
        """One of the codes of sheet section 6."""
        if now >= self.final_at:
            return State(self.end)
        if now >= (self.first_at + self.final_at) / 2:
            return State.ENROUTE
        if now >= self.first_at:
            return State.SENDING
        return State.SCHEDULED if now < self.begin_at else State.ACCEPTED


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


class Entry(NamedTuple):
    """What one package changed: the unit of the journal."""

    size: int  # messages in the package
    taken: list[Taken]
    refused: int
    repeats: int  # own ids used before (208)
    told_later: list[Refused]
    job: Job | None

    @classmethod
    def revived(cls, written: list[Any]) -> "Entry":
        """From the journal's JSON, where every record is a bare list of its fields."""
        size, taken, refused, repeats, told_later, job = written
        return cls(
            size,
            [Taken(*row) for row in taken],
            refused,
            repeats,
            [Refused(*row) for row in told_later],
            Job(*job) if job else None,
        )


class Account:
    """Messages, jobs and counts of one customer."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._empty()
        for written in journal.entries() if journal else ():
            self._remember(Entry.revived(written))

    def _empty(self) -> None:
        self._messages: list[Taken] = []  # by gateway number
        # 100,000 numbers a second: a new account, too, never repeats the numbers of an earlier one.
        self._first_sms_id = time.time_ns() // 10_000
        self._by_own_id: dict[int, Taken] = {}
        self._told_later: dict[int, Refused] = {}
        self._jobs: dict[str, Job] = {}
        self._contents: set[str] = set()
        self._unsettled: list[Taken] = []
        self._settled: Counter[str] = Counter()
        self.twice = self.refused = self.repeats = self.largest_package = 0

    def keep(self, entry: Entry) -> None:
        """On disk first: what the caller is told must survive us."""
        if self._journal:
            self._journal.append(entry)
        self._remember(entry)

    def forget(self) -> None:
        """Back to a new account."""
        if self._journal:
            self._journal.clear()
        self._empty()

    def _remember(self, entry: Entry) -> None:
        if entry.taken and not self._messages:
            self._first_sms_id = entry.taken[0].sms_id
        self._messages += entry.taken
        self._unsettled += entry.taken
        self._by_own_id.update({one.own_id: one for one in entry.taken if one.own_id is not None})
        self._told_later.update({one.own_id: one for one in entry.told_later})
        if entry.job:
            self._jobs[entry.job.id] = entry.job
        for one in entry.taken:
            self.twice += one.digest in self._contents
            self._contents.add(one.digest)
        self.refused += entry.refused
        self.repeats += entry.repeats
        self.largest_package = max(self.largest_package, entry.size)

    def next_sms_id(self) -> int:
        """Gateway numbers are handed out in a row."""
        return self._first_sms_id + len(self._messages)

    def by_own_id(self, own_id: int) -> Taken | None:
        """The one message this own id was used for."""
        return self._by_own_id.get(own_id)

    def by_sms_id(self, sms_id: int) -> Taken | None:
        """The message with this gateway number."""
        place = sms_id - self._first_sms_id
        return self._messages[place] if 0 <= place < len(self._messages) else None

    def told_later(self, own_id: int) -> Refused | None:
        """The refusal inside a job, if that is what became of this own id."""
        return self._told_later.get(own_id)

    def job(self, job_id: str) -> Job | None:
        """The job of this number."""
        return self._jobs.get(job_id)

    @property
    def jobs(self) -> int:
        """Jobs ever accepted."""
        return len(self._jobs)

    @property
    def taken(self) -> int:
        """Messages ever sent, each time counted."""
        return len(self._messages)

    def by_state(self, now: float) -> dict[str, int]:
        """How many messages are in which state. Finals are counted once and then left out of the walk."""
        open_still = [one for one in self._unsettled if now < one.final_at]
        if len(open_still) < len(self._unsettled):
            self._settled.update(
                State(one.end).name.lower() for one in self._unsettled if now >= one.final_at
            )
            self._unsettled = open_still
        counts = Counter(
            "queued" if now < one.known_at else one.state(now).name.lower() for one in open_still
        )
        return dict(sorted((self._settled + counts).items()))

    def deliveries(self) -> list[tuple[int | None, str, str, int]]:
        """Own id, recipient, content digest, times sent.

        Counted from what went out and not from what guards own ids, so that it would show if that failed.
        """
        times = Counter(one.own_id for one in self._messages)
        sent = {one.own_id if one.own_id is not None else f"sms {one.sms_id}": one for one in self._messages}
        return [
            (one.own_id, one.recipient, one.digest, 1 if one.own_id is None else times[one.own_id])
            for one in sent.values()
        ]


def content_digest(recipient: str, sender: str, text: str, url: str = "") -> str:
    """What makes two messages the same message to the person who gets them: 32 hex digits.

    SHA-256 over recipient without plus, sender, text and, for WAP-push only, url, joined by NUL, first half.
    """
    parts = [recipient.removeprefix("+"), sender, text] + ([url] if url else [])
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
