"""Dead letters: what could not be entered into the ledger, with the reason."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bulk_dispatch.intake.connection import IntakeConnection
from bulk_dispatch.intake.keys import DEAD

_ENTRY_ID = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")


class DeadLetterCommands(IntakeConnection):
    """What is asked of the dead-letter stream."""

    def dead_letters(self) -> int:
        """How many letters lie in the dead-letter stream."""
        with self._explained():
            return int(self.client.xlen(DEAD))

    def read_dead(
        self, most: int = 100, after: str = "", until: str = "+"
    ) -> list[tuple[str, Mapping[str, str]]]:
        """The oldest dead letters after one and until another: id and fields `lane`, `reason`, `content`."""
        with self._explained():
            letters = cast("list[Any]", self.client.xrange(DEAD, f"({after}" if after else "-", until, most))
        return [(str(letter_id), dict(fields)) for letter_id, fields in letters]

    def find_dead(self, letter: str) -> Mapping[str, str] | None:
        """The fields of one dead letter; None if there is none of that id."""
        if not _ENTRY_ID.fullmatch(letter):
            return None
        with self._explained():
            found = cast("list[Any]", self.client.xrange(DEAD, letter, letter))
        return dict(found[0][1]) if found else None

    def newest_dead(self) -> str:
        """The id of the newest dead letter; empty if there is none."""
        with self._explained():
            newest = cast("list[Any]", self.client.xrevrange(DEAD, count=1))
        return str(newest[0][0]) if newest else ""

    def forget_dead(self, letters: Sequence[str]) -> int:
        """Delete these dead letters. Returns how many of them there were."""
        with self._explained():
            return int(self.client.xdel(DEAD, *letters)) if letters else 0
