"""Judging a call: each recipient is sent to, or gets `error` without a reason (sheet section 2)."""

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Fate, Oracle
from bulk_dispatch.sandbox.packing import segments_of
from bulk_dispatch.sandbox.provider import Code
from bulk_dispatch.sandbox.smartswitch.account import Taken, nobodys_number
from bulk_dispatch.sandbox.smartswitch.answers import Element
from bulk_dispatch.sandbox.smartswitch.codes import CYRILLIC_OK, ERROR, LATIN_OK, NEWS
from bulk_dispatch.sandbox.smartswitch.reading import Message
from bulk_dispatch.sandbox.smartswitch.rules import NUMBER, PLUS, is_allowed, own_id


class Intake:
    """One call while it is judged. Nothing is remembered until the account keeps what was `taken`."""

    def __init__(self, next_number: int, oracle: Oracle, options: SandboxOptions, now: float) -> None:
        self._next_number, self._oracle, self._timings, self._now = next_number, oracle, options.timings, now
        self._ok = CYRILLIC_OK if options.smartswitch.cyrillic_ok else LATIN_OK
        self._number = PLUS if options.smartswitch.plus else NUMBER
        self._echo_places = options.smartswitch.unasked_request_ids
        self.taken: list[Taken] = []

    def judge(self, place: int, message: Message, forced: Code | None) -> Element:
        """The report on the `place`th recipient. `forced` is a status to give instead of sending."""
        segments = segments_of(message.body)
        own = own_id(message.request_id)
        fate = self._oracle.fate(own, message.destination_number)
        if not is_allowed(message, segments, self._number) or (forced is None and fate.refused):
            number, status = nobodys_number(), ERROR
        elif forced is not None:
            number, status = nobodys_number(), str(forced)
        else:
            number, status = self._take(message, own, segments, fate), self._ok
        unasked = str(place) if self._echo_places else ""
        request_id = message.request_id or unasked
        return Element(str(number), message.destination_number, segments, status, request_id)

    def _take(self, message: Message, own: int | None, segments: int, fate: Fate) -> int:
        number = self._next_number + len(self.taken)
        shortest, longest = self._timings.final
        self.taken.append(
            Taken(
                own,
                number,
                message.destination_number,
                content_digest(message.destination_number, message.sender, message.body),
                segments,
                message.require_dlr == "1",
                self._now,
                self._now + self._timings.first,
                self._now + shortest + fate.pace * (longest - shortest),
                NEWS[number % len(NEWS)],
                fate.end,
            )
        )
        return number
