"""The check of a file: every row a message or refused with its reason, and what people want to know before
any of it leaves. Nothing here does I/O: what knows the routes and the ledger is passed in.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, NamedTuple

from bulk_dispatch.campaign.rows import Row
from bulk_dispatch.domain.message import Foreseen, Lane, Message, Said
from bulk_dispatch.domain.numbers import calling_code, is_valid, phone_number, read_beside
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.segments import Encoding, dear_characters, encoding
from bulk_dispatch.domain.validation import MessageError, shown

HEAD = 1000  # rows that show how the numbers of a file are written


class Refusal(NamedTuple):
    """A row that is no message: its line, the field that is wrong, its value as it may be seen, and why."""

    line: int
    field: str
    shown: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.reason}, got {self.shown}"


def foresees_nothing(messages: Sequence[Message]) -> Foreseen:  # noqa: ARG001 - where there is no ledger
    """Every message is new."""
    return Foreseen()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done about what may be meant or not."""

    region: Callable[[Mapping[str, Any]], str] = lambda _: ""  # of a row: where its numbers are of
    allow_repeats: bool = False
    only_valid: bool = False
    literal: bool = False


@dataclass(slots=True)
class Report:
    """What was found, in messages unless it says otherwise."""

    rows: int = 0
    messages: int = 0  # that leave
    refused: int = 0  # rows
    again: int = 0  # rows that stand there once more, id and all; they do not leave
    repeats: int = 0  # rows that repeat number and content of one before; they do not leave unless allowed
    repeated: int = 0  # numbers that stand there more often, with several contents
    beside: int = 0  # their numbers lack the plus, and were read like others of the file
    not_valid: int = 0  # their numbers are possible, and not known to be given out
    known: int = 0  # to the ledger
    corrections: int = 0  # of what came to nothing under the same id
    conflicts: int = 0  # their ids are those of others in the ledger
    routes: set[str] = field(default_factory=set)
    lanes: set[Lane] = field(default_factory=set)
    counted: dict[Encoding, list[int]] = field(default_factory=lambda: {one: [0, 0] for one in Encoding})
    dear: Counter[str] = field(default_factory=Counter)  # with a character that makes a Latin text UCS-2
    dear_segments: int = 0  # that such characters cost

    @property
    def segments(self) -> int:
        """As far as they are counted so: SMS and what is like it."""
        return sum(segments for _, segments in self.counted.values())

    @property
    def new(self) -> int:
        """What leaves and is not in the ledger yet."""
        return self.messages - self.known - self.conflicts


class Check:
    """Makes messages of rows, and keeps count."""

    def __init__(
        self,
        make: Callable[[Mapping[str, Any], str], Message],
        refuse: Callable[[Refusal], None],
        rules: Rules,
        foresee: Callable[[Sequence[Message]], Foreseen] = foresees_nothing,
        before: Callable[[str], Iterable[Said]] = lambda _: (),
    ) -> None:
        """`make` makes a message of values and a region, or raises MessageError; `refuse` keeps what is
        refused; `before` says what the ledger has of a campaign."""
        self._make = make
        self._refuse = refuse
        self._rules = rules
        self._foresee = foresee
        self._ids: set[int] = set()
        self._before = before
        self._campaigns: set[str] = {""}
        self._whole_ids = False
        self._seen: set[int] = set()
        self._people: set[int] = set()
        self.report = Report()

    def messages(self, rows: Iterable[Row]) -> Iterator[Message]:
        """Those that may leave, in order. Whatever is refused is refused before the first comes after it."""
        stream = iter(rows)
        head = list(islice(stream, HEAD))
        codes = _codes(head)
        self._whole_ids = _are_whole(head)
        made = (one for row in chain(head, stream) if (one := self._made(row, codes)))
        while chunk := list(islice(made, CHUNK)):
            yield from self._leaving(chunk)

    def _made(self, row: Row, codes: Sequence[str]) -> tuple[int, Message] | None:
        self.report.rows += 1
        try:
            return row.line, self._message(row, codes)
        except MessageError as problem:
            self._turn_away(Refusal(row.line, problem.field, problem.shown, problem.problem))
            return None

    def _message(self, row: Row, codes: Sequence[str]) -> Message:
        if isinstance(row.values, MessageError):
            raise row.values
        values = row.values if all(row.values.values()) else _filled(row.values)
        region = self._rules.region(values)
        meant = "" if region or not codes else _beside(values.get("recipient"), codes)
        if meant:
            values = {**values, "recipient": meant}
        if self._whole_ids and not self._rules.literal:
            _check_id(values.get("client_id"))
        message = self._make(values, region)
        self.report.beside += bool(meant)
        if not is_valid(message.recipient):
            if self._rules.only_valid:
                raise MessageError("recipient", message.recipient, "is not known to be given out")
            self.report.not_valid += 1
        return message

    def _turn_away(self, refusal: Refusal) -> None:
        self.report.refused += 1
        self._refuse(refusal)

    def _leaving(self, made: Sequence[tuple[int, Message]]) -> Iterator[Message]:
        foreseen = self._foresee([message for _, message in made])
        for place, (line, message) in enumerate(made):
            self._look_up(message.campaign)
            there = place in foreseen.known | foreseen.corrections | foreseen.conflicts
            if self._may_leave(line, message, there=there):
                self.report.known += place in foreseen.known
                self.report.corrections += place in foreseen.corrections
                self.report.conflicts += place in foreseen.conflicts
                self._count(message)
                yield message

    def _look_up(self, campaign: str) -> None:
        """What a campaign has said to whom is looked up when its first message comes."""
        if campaign not in self._campaigns:
            self._campaigns.add(campaign)
            self._seen.update(_digest(_as_text(said)) for said in self._before(campaign))

    def _may_leave(self, line: int, message: Message, *, there: bool) -> bool:
        """Whether nobody gets the same once more, and no id stands for two. What the ledger has something
        under the same id of repeats nothing: it decides by that."""
        own, said = _digest(f"{message.producer}\0{message.client_id}"), _digest(_as_text(message.said))
        again = said in self._seen
        if own in self._ids:
            self.report.again += again
            if not again:
                problem = "is the id of a row before, which has other content"
                shows = shown("client_id", message.client_id)
                self._turn_away(Refusal(line, "client_id", shows, problem))
            return False
        self._ids.add(own)
        self._seen.add(said)
        if again and not there:
            self.report.repeats += 1
            return self._rules.allow_repeats
        return True

    def _count(self, message: Message) -> None:
        report = self.report
        report.messages += 1
        report.routes.add(message.route)
        report.lanes.add(message.lane)
        person = hash(message.recipient)
        report.repeated += person in self._people
        self._people.add(person)
        segments = message.content.segments
        if segments is None:
            return
        counted = report.counted[encoding(message.text)]
        counted[0] += 1
        counted[1] += segments
        if dear := dear_characters(message.text):
            report.dear_segments += dear.segments
            report.dear.update(dear.characters)


def _filled(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", None)}


def _codes(rows: Iterable[Row]) -> list[str]:
    """The country codes that numbers of the file are written with, plus and all."""
    found: set[str] = set()
    for row in rows:
        recipient = None if isinstance(row.values, MessageError) else row.values.get("recipient")
        if isinstance(recipient, str) and "+" in recipient:
            try:
                found.add(calling_code(phone_number(recipient)))
            except MessageError:  # it is told when its turn comes
                continue
    return sorted(found)


def _beside(recipient: object, codes: Sequence[str]) -> str:
    """The number that is meant where the plus is missing that others of the file have; empty if not clear."""
    if not isinstance(recipient, str) or "+" in recipient:
        return ""
    meant = {whole for code in codes if (whole := read_beside(code, recipient))}
    return meant.pop() if len(meant) == 1 else ""


_WHOLE = re.compile(r"\d+(?P<tail>[.,]0+)?")


def _are_whole(rows: Iterable[Row]) -> bool:
    """Whether all ids are whole numbers, or were before software made decimals of them."""
    ids = [str(row.values.get("client_id", "")) for row in rows if not isinstance(row.values, MessageError)]
    return all(_WHOLE.fullmatch(one.strip()) for one in ids if one.strip())


def _check_id(client_id: object) -> None:
    """Raise MessageError for a whole number that software has made a decimal: 18 and 18.0 would be two."""
    found = _WHOLE.fullmatch(client_id.strip()) if isinstance(client_id, str) else None
    if found and found["tail"]:
        raise MessageError("client_id", client_id, "is a decimal: 18 and 18.0 would be two messages")


def _as_text(said: Said) -> str:
    """Who gets what, as one text; from whom is no matter."""
    words = said.words if len(said.words) == 1 else dict(sorted(said.words.items()))
    return "\0".join((said.recipient, said.kind, *words, *words.values()))


def _digest(text: str) -> int:
    """88 bits: no two of a billion texts share them, and a set of them takes little room."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=11).digest())
