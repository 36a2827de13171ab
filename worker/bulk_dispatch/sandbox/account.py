"""The memory of one make-believe customer: what was taken, and so what was sent twice or never."""

import hashlib
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from bulk_dispatch.sandbox.journal import Journal


class Record(Protocol):
    """A message the provider has, and what will become of it: a NamedTuple of what JSON can hold.

    States are not moved on by timers: they are read off the clock when somebody asks. Instants are seconds
    since 1970.
    """

    @property
    def own_id(self) -> int | None:
        """The customer's number of it."""

    @property
    def number(self) -> int:
        """The gateway's number of it: those of one account are handed out in a row (`next_number`)."""

    @property
    def recipient(self) -> str:
        """As it was written."""

    @property
    def digest(self) -> str:
        """See `content_digest`; the text itself is not kept."""

    @property
    def final_at(self) -> float:
        """From here on nothing changes."""

    def state_name(self, now: float) -> str:
        """For the counts: in lower case, as the provider's sheet has it."""

    def shown(self, now: float) -> dict[str, object]:
        """For GET /sandbox/messages/ID: all fields, and "end", the name of the final state."""


R = TypeVar("R", bound=Record)


class Entry(NamedTuple):
    """What one request changed: the unit of the journal."""

    door: str  # the provider's name
    size: int  # messages in the request
    taken: Sequence[Any] = ()  # records, their numbers in a row
    refused: int = 0
    repeats: int = 0  # own ids used before
    changed: Sequence[Any] = ()  # new versions of records that were not final, such as deleted ones
    more: Any = None  # what only this family keeps (`Account.remember_more`), as JSON can hold it


@dataclass
class Tally:
    """What came by one door."""

    taken: int = 0
    twice: int = 0  # content sent that the account had sent before
    refused: int = 0
    repeats: int = 0
    jobs: int = 0
    largest_package: int = 0
    places: "array[int]" = field(default_factory=lambda: array("q"))  # of its records
    unsettled: list[int] = field(default_factory=list)
    settled: Counter[str] = field(default_factory=Counter)


class Listeners(dict[str, str]):
    """Who is told of states: door to URL. `since` is when that was said, in seconds since 1970."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[str, float] = {}

    def __setitem__(self, door: str, url: str) -> None:
        self.since[door] = time.time()
        super().__setitem__(door, url)


def numbers_by_clock() -> int:
    """A first gateway number of 15 digits, 100,000 a second: a new account repeats none of an earlier one."""
    return time.time_ns() // 10_000


class Account(Generic[R]):
    """Messages and counts of one customer. What keeps more overrides `remember_more` and `forget`."""

    def __init__(
        self,
        name: str,
        record: Callable[..., R],
        journal: Journal | None,
        first_number: Callable[[], int] = numbers_by_clock,
    ) -> None:
        self.name = name  # of the family
        self.push_urls = Listeners()
        self._record = record
        self._journal = journal
        self._number_anew = first_number
        self.forget()

    def forget(self) -> None:
        """Back to a new account; whoever clears the journal calls it. Overrides must call this one."""
        self._first_number = self._number_anew()
        self._messages: list[R] = []  # by gateway number
        self._by_own_id: dict[int, R] = {}
        self._contents: set[str] = set()
        self.tallies: dict[str, Tally] = {}
        self.changes: list[int] = []  # numbers of changed records

    def remember_more(self, entry: Entry) -> None:
        """`entry.more` was kept, or has come back from the journal."""

    def keep(self, entry: Entry) -> None:
        """On disk first: what the caller is told must survive us."""
        if self._journal:
            self._journal.append([self.name, *entry])
        self._remember(entry)

    def revive(self, written: Sequence[Any]) -> None:
        """An entry from the journal's JSON, where every record is a bare list of its fields."""
        door, size, taken, refused, repeats, changed, more = written
        taken, changed = ([self._record(*row) for row in rows] for rows in (taken, changed))
        self._remember(Entry(door, size, taken, refused, repeats, changed, more))

    def _remember(self, entry: Entry) -> None:
        tally = self.tally(entry.door)
        if entry.taken:
            self._take(entry.taken, tally)
        for one in entry.changed:
            self._messages[one.number - self._first_number] = one
            self.changes.append(one.number)
            if one.own_id is not None:
                self._by_own_id[one.own_id] = one
        tally.refused += entry.refused
        tally.repeats += entry.repeats
        tally.largest_package = max(tally.largest_package, entry.size)
        self.remember_more(entry)

    def _take(self, taken: Sequence[R], tally: Tally) -> None:
        if not self._messages:
            self._first_number = taken[0].number
        places = range(len(self._messages), len(self._messages) + len(taken))
        self._messages += taken
        self._by_own_id.update({one.own_id: one for one in taken if one.own_id is not None})
        for one in taken:
            tally.twice += one.digest in self._contents
            self._contents.add(one.digest)
        tally.taken += len(taken)
        tally.places.extend(places)
        tally.unsettled += places

    def tally(self, door: str) -> Tally:
        """The counts of one door."""
        return self.tallies.setdefault(door, Tally())

    def next_number(self) -> int:
        """Gateway numbers are handed out in a row."""
        return self._first_number + len(self._messages)

    def by_own_id(self, own_id: int) -> R | None:
        """The one message this own id was used for; the last one where repeats are taken."""
        return self._by_own_id.get(own_id)

    def by_number(self, number: int) -> R | None:
        """The message with this gateway number."""
        place = number - self._first_number
        return self._messages[place] if 0 <= place < len(self._messages) else None

    def by_state(self, door: str, now: float) -> Counter[str]:
        """How many messages are in which state. Finals are counted once and then left out of the walk."""
        tally, messages = self.tally(door), self._messages
        open_still = [place for place in tally.unsettled if now < messages[place].final_at]
        if len(open_still) < len(tally.unsettled):
            all_of_them = (messages[place] for place in tally.unsettled)
            tally.settled.update(one.state_name(now) for one in all_of_them if now >= one.final_at)
            tally.unsettled = open_still
        return tally.settled + Counter(messages[place].state_name(now) for place in open_still)

    def records(self, door: str, since: int = 0) -> Iterator[R]:
        """What came by this door, oldest first, without the first `since`."""
        return (self._messages[place] for place in self.tally(door).places[since:])

    def deliveries(self, door: str) -> list[tuple[int | None, str, str, int]]:
        """Own id, recipient, content digest, times sent.

        Counted from what went out and not from what guards own ids, so that it would show if that failed.
        """
        records = list(self.records(door))
        times = Counter(one.own_id for one in records)
        sent = {one.own_id if one.own_id is not None else f"number {one.number}": one for one in records}
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
