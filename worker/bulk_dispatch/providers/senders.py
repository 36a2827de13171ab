"""Senders of SMS: a name or a phone number, held against what a provider documents, before anything leaves.

A bad sender is a fault of every message that has it: at some providers each is refused by itself, at others
each leaves doubt, and enough of these stop a route for everybody.
"""

import re
import string
from dataclasses import dataclass
from dataclasses import field as default

from bulk_dispatch.domain.segments import character_name
from bulk_dispatch.domain.validation import MessageError

SEEN = 1000  # senders that are remembered to be good

_NUMBER = re.compile(r"\+?[0-9]+")


@dataclass(frozen=True, slots=True)
class Senders:
    """What a provider takes as the sender of an SMS."""

    characters: frozenset[str]  # of a name
    least: int = 1  # characters of a name
    most: int = 11  # the same; networks carry no longer one (3GPP TS 23.040, 9.1.2.5)
    most_of_number: int = 15  # characters of a phone number
    plus: bool = True  # a phone number may have one in front
    _seen: set[str] = default(default_factory=set, compare=False, repr=False)  # good ones: there are few

    def check(self, field: str, sender: str) -> None:
        """Raise MessageError for what they do not take, naming the character if there is one."""
        if sender in self._seen:
            return
        self._judge(field, sender)
        if len(self._seen) < SEEN:
            self._seen.add(sender)

    def _judge(self, field: str, sender: str) -> None:
        if _NUMBER.fullmatch(sender):
            if sender[0] == "+" and not self.plus:
                raise MessageError(field, sender, "must be digits alone, without the plus, or a name")
            if len(sender) > self.most_of_number:
                raise MessageError(field, sender, f"must be at most {self.most_of_number} characters")
            return
        for character in sender:
            if character not in self.characters:
                raise MessageError(
                    field, sender, f"holds {character_name(character)}, which they do not take"
                )
        if len(sender) > self.most:
            raise MessageError(
                field, sender, f"must be at most {self.most} characters, unless it is a number"
            )
        if len(sender) < self.least:
            raise MessageError(field, sender, f"must be at least {self.least} characters")
        if not any(character.isalpha() for character in sender):
            raise MessageError(field, sender, "must hold a letter, or be a phone number")


LATIN = frozenset(string.ascii_letters + string.digits)
PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")
"""What networks write a name in, as far as everybody passes it on: letters of another alphabet have no place
in that of GSM."""
