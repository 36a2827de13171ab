"""Dead letters: what could not become a message. Kept in Redis with the reason, until a person has looked.

A letter holds a message as plain values, a list of them, a task as it came, or something that could not be
read.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.intake import Intake, Parcel, instant_of
from bulk_dispatch.messaging.task_arguments import offered
from bulk_dispatch.routing import named_lane

PAGE = 50  # letters read, or put back, in one go: one may hold a task of 10,000 messages, 2 MB

TELLING = ("client_id", "producer", "campaign", "route", "lane", "kind", "sender")
"""Fields of a message that say nothing of a person."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `id` is Redis's, and tells when it was written."""

    id: str
    at: datetime
    lane: Lane
    reason: str
    content: str = field(repr=False)  # JSON

    def messages(self) -> list[Any]:
        """The messages in it, as they were handed over. None, if nothing in it has a message's fields."""
        found = list(_offered_by(json.loads(self.content)))
        return found if any(isinstance(one, Mapping) for one in found) else []


@dataclass(frozen=True)
class DeadLetterSelection:
    """Which letters: those of these ids, or all those that fit."""

    ids: Collection[str] = ()
    reason: str = ""  # a part of it, whatever the case
    lane: Lane | None = None

    def fits(self, letter: Letter) -> bool:
        """Whether a letter is one of those."""
        return self._words in letter.reason.casefold() and self.lane in (None, letter.lane)

    @cached_property
    def _words(self) -> str:
        return self.reason.casefold()


def pages(intake: Intake, selection: DeadLetterSelection) -> Iterator[list[Letter]]:
    """The letters selected of those there are now, oldest first, page by page; a page may be empty. What is
    added meanwhile is left out: what was put back may come again, and would go round for ever."""
    if selection.ids:
        found_by_id = ((one, intake.find_dead(one)) for one in selection.ids)
        letters = [_letter(letter_id, fields) for letter_id, fields in found_by_id if fields]
        yield [letter for letter in letters if selection.fits(letter)]
        return
    after, until = "", intake.newest_dead()
    while until and (found := intake.read_dead(PAGE, after, until)):
        after = found[-1][0]
        page = (_letter(letter_id, fields) for letter_id, fields in found)
        yield [letter for letter in page if selection.fits(letter)]


def requeue(intake: Intake, letters: Sequence[Letter]) -> tuple[int, int]:
    """Put the messages in these letters into the intake again, where each is judged anew; forget the letters.

    What holds no message stays. Returns how many messages were put back, and how many letters stay. Safe to
    interrupt and to repeat: a message is known by its client id. Raises IntakeError.
    """
    held = {letter.id: letter.messages() for letter in letters}
    messages = [one for found in held.values() for one in found]
    for lane in Lane:
        ours = [one for one in messages if named_lane(one) is lane]
        for start in range(0, len(ours), CHUNK):
            intake.add_parcel(Parcel.of_plain(lane, ours[start : start + CHUNK]))
    intake.forget_dead([letter_id for letter_id, found in held.items() if found])
    return len(messages), sum(not found for found in held.values())


def _offered_by(content: Any) -> Iterator[Any]:
    match content:
        case {"task": _, "body": [list(args), dict(fields), *_]}:  # of a name that is none of ours
            yield from offered(args, fields)
        case {"task": _, "body": {"args": list(args), "kwargs": dict(fields)}}:  # by the older protocol
            yield from offered(args, fields)
        case {"task": _, "body": _}:
            return
        case dict():
            yield content
        case list():
            yield from content


def _letter(letter_id: str, fields: Mapping[str, str]) -> Letter:
    return Letter(letter_id, instant_of(letter_id), Lane(fields["lane"]), fields["reason"], fields["content"])
