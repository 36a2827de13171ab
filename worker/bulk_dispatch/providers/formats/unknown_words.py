"""Words of theirs that we do not know, fit to be kept: in a history, a log, the reason of a stopped route.

What they say to a message may quote its number, its text, our password. What looks like that is left out,
also in other capitals, parted by other blanks, or in another order.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from unicodedata import normalize

MOST = 64  # characters that are kept, as of any code
READ = 500  # characters that are looked at
ALIKE = 12  # characters in a row that stand in the message too: hardly by chance
SHORT = 4  # characters; what is shorter tells nothing, and stands in any sentence
LEFT_OUT = "…"

NUMBER = re.compile(r"\+?[0-9](?:[ ().-]{0,2}[0-9]){3,}")  # four digits or more, however they are parted
QUOTED = re.compile(r"\"[^\"]*\"|«[^»]*»|“[^”]*”|\[[^\]]*\]|<[^>]*>|(?<!\w)'[^']*'(?!\w)")
WORD = re.compile(r"\w+(?:['’ʼ]\w+)*")


def kept(said: str, ours: Iterable[str]) -> str:
    """What they said to a message, fit to be kept: "?" if nothing is left of it. `ours` must not be: what the
    message holds, and our secrets."""
    words = _in_a_line(said[:READ])
    for one in ours:
        words = _without(words, _in_a_line(one))
    for pattern in (QUOTED, NUMBER):
        words = pattern.sub(LEFT_OUT, words)
    return words[:MOST] if any(one.isalpha() for one in words) else "?"


def _in_a_line(text: str) -> str:
    """With one blank where there are any, or what cannot be printed."""
    return " ".join("".join(one if one.isprintable() else " " for one in normalize("NFC", text)).split())


def _without(words: str, ours: str) -> str:
    """The words without what is ours: the whole of it, a good part, or a single word that tells something."""
    least, folded = max(SHORT, min(len(ours), ALIKE)), _folded(ours)
    while (found := _longest(_folded(words), folded))[1] >= least:
        words = words[: found[0]] + LEFT_OUT + words[sum(found) :]
    telling = {word.casefold() for word in WORD.findall(ours) if _tells(word)}
    return WORD.sub(lambda word: LEFT_OUT if word[0].casefold() in telling else word[0], words)


def _folded(text: str) -> str:
    """The same in small letters, every character in its place."""
    return "".join(small if len(small := one.casefold()) == 1 else one for one in text)


def _longest(words: str, ours: str) -> tuple[int, int]:
    """Where what both have in a row begins, and how long it is."""
    match = SequenceMatcher(None, words, ours, autojunk=False).find_longest_match()
    return match.a, match.size


def _tells(word: str) -> bool:
    return len(word) >= SHORT or any(map(str.isdigit, word))
