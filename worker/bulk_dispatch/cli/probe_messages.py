"""What `worker probe` sends: a handful of messages, each of which shows on a phone how one thing travels.

What is right, and what follows from anything else, stands with each. docs/reference/silent.md has the
settings.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from bulk_dispatch.domain.content import Content, Flash, Ping, Sms, WapPush
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.providers.interface import Clocks, Dialect

LASTS = timedelta(minutes=10)  # what has an end; every provider takes so long a validity
LINK = "https://example.com/?a=1&b=2"


class Sign(NamedTuple):
    """What somebody may see instead, and what follows: a key of the route, or nothing that we can set."""

    seen: str
    setting: str  # empty: theirs to mend
    advice: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One message, what it looks like if all is well, and what else it may look like."""

    name: str
    content: Content = field(repr=False)
    right: str
    signs: tuple[Sign, ...]
    lasts: timedelta | None = None  # until it is too late


_CONTENTS: Mapping[str, Callable[[str], Content]] = {
    "line-break": lambda head: Sms(f"{head} one\ntwo\nthree"),
    "signs": lambda head: Sms(f"{head} 1 + 2 & 3 < 4 > 5 % 6 # 7 = 8 ? %41 / \\ ' \" end"),
    "cyrillic": lambda head: Sms(f"{head} ґ є і ї щ ы э ё Їжак"),
    "two-segments": lambda head: Sms(f"{head} {' '.join(map(str, range(1, 61)))} end"),
    "link": lambda head: Sms(f"{head} {LINK}"),
    "wap": lambda head: WapPush(LINK, f"{head} open this"),
    "flash": lambda head: Flash(f"{head} shown at once, and not kept"),
    "ping": lambda _: Ping(),
    "validity": lambda head: Sms(f"{head} valid for {LASTS.seconds // 60} minutes"),
}
"""By name, in the order they are sent; each of a head that no other text has."""

_NOBODY = "nothing comes, and every message is refused or the route stops"

_SIGNS = {
    "line-break": (
        Sign("one line with \\n in it, two characters each", "line_break", "line-feed"),
        Sign("one line with nothing in it for the breaks", "line_break", "blank"),
        Sign("one line, or squares for the breaks", "", "have them look into it"),
    ),
    "signs": (
        Sign("a blank for the plus, or an end at one of the signs", "params_in", "the other one"),
        Sign("&amp; or &lt; in words, or signs that lack", "", "have them look into it"),
        Sign(_NOBODY, "params_in", "the other one"),
        Sign(_NOBODY, "number_format", "the other one"),
        Sign(_NOBODY, "source", "the other one, and a --sender of that form"),
        Sign(_NOBODY, "version", "left-out"),
        Sign(_NOBODY, "path", "/xml/"),
        Sign(_NOBODY, "security", "last"),
    ),
    "cyrillic": (
        Sign("Latin letters", "transliterate", "false; if it is, have them switch it off"),
        Sign("question marks or squares", "", "have them send it as Unicode"),
    ),
    "two-segments": (
        Sign("two messages, or half of one", "", "have them join the parts"),
        Sign("no two segments in `worker status`", "", "ask how they bill long texts"),
    ),
    "link": (Sign("a link that opens another address, or ends before &b=2", "", "have them look into it"),),
    "wap": (Sign("nothing, or a message without its link", "", "few phones take one: put it into a text"),),
    "flash": (
        Sign("an ordinary message in the list of the others", "flash", "true, yes or on"),
        Sign("an ordinary message, whatever is set", "", "ask whether they and the operator carry it"),
    ),
    "ping": (
        Sign("a text", "", "ask for silent messages: it was sent as an ordinary one"),
        Sign("a text", "ping_text", "one that harms nobody, or none"),
        Sign("refused for want of a text, or for what it says", "ping_text", "a text, or none"),
    ),
    "validity": (
        Sign("it does not come, and is expired at once", "zone", "the time zone of the account"),
        Sign("it does not come, and is expired or refused", "", "ask how they read the end of validity"),
    ),
}  # fmt: skip

_RIGHT = {
    "line-break": "three lines",
    "signs": "every sign as it stands here, %41 too",
    "cyrillic": "these letters",
    "two-segments": "one message, which ends in '60 end'",
    "link": f"{LINK}, as a whole",
    "wap": f"a text, and {LINK} to open",
    "flash": "shown at once over whatever else is there, and not kept",
    "ping": "nothing at all; its receipt says that the phone is on",
    "validity": "it comes as the others do",
}
"""By name: what it is like if all is well."""


def probes(dialect: Dialect, run: str, now: datetime) -> Iterator[Probe]:
    """Those that a dialect carries and that show something there, in the order they are sent.

    Each text has `run` in it, so that nobody takes it for the same once more.
    """
    number = 0
    for name, make in _CONTENTS.items():
        content = make(f"Probe {run}-{number + 1}:")
        if content.kind not in dialect.kinds or (name == "validity" and not is_told_validity(dialect, now)):
            continue
        number += 1
        signs = tuple(sign for sign in _SIGNS[name] if _has(dialect, sign.setting))
        yield Probe(name, content, _RIGHT[name], signs, LASTS if name == "validity" else None)


def is_told_validity(dialect: Dialect, now: datetime) -> bool:
    """Whether the end of an SMS is told to the provider: then it stands in the request."""
    bare = OutboundMessage(1, 1, "+380931110001", "Probe", Sms("Probe"))
    ending = bare._replace(leaves_at=now, valid_until=now + LASTS)
    return dialect.submit([bare]) != dialect.submit([ending])


def _has(dialect: Dialect, setting: str) -> bool:
    """Whether a route that speaks so has the setting; a zone, where times go out without their offset."""
    if setting == "zone":
        return isinstance(dialect, Clocks)
    return not setting or setting in dialect.options
