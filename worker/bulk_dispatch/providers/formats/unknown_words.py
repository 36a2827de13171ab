"""Words of theirs that we do not know, fit to be kept: in a history, a log, the reason of a stopped route.

What they say to a message may quote its number, its text, our password. What looks like that is left out.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from bulk_dispatch.domain.package import Item

MOST = 64  # characters that are kept, as of any code
READ = 500  # characters that are looked at
ALIKE = 12  # characters in a row that stand in the message too: hardly by chance
SHORT = 4  # characters; what is shorter tells nothing, and stands in any sentence
LEFT_OUT = "…"

NUMBER = re.compile(r"\+?[0-9](?:[ ().-]{0,2}[0-9]){3,}")  # four digits or more, however they are parted
QUOTED = re.compile(r"\"[^\"]*\"|«[^»]*»|“[^”]*”|\[[^\]]*\]|<[^>]*>|(?<!\w)'[^']*'(?!\w)")


def kept(said: str, item: Item, secrets: Iterable[str] = ()) -> str:
    """What they said to the item, fit to be kept: "?" if nothing is left of it."""
    words = " ".join("".join(one if one.isprintable() else " " for one in said[:READ]).split())
    for ours in (*secrets, *item.content.as_dict().values()):
        words = _without(words, ours)
    for pattern in (QUOTED, NUMBER):
        words = pattern.sub(LEFT_OUT, words)
    return words[:MOST] if any(one.isalpha() for one in words) else "?"


def _without(words: str, ours: str) -> str:
    """The words without what is ours: the whole of it, or a good part."""
    least = max(SHORT, min(len(ours), ALIKE))
    while (found := SequenceMatcher(None, words, ours, autojunk=False).find_longest_match()).size >= least:
        words = words[: found.a] + LEFT_OUT + words[found.a + found.size :]
    return words
