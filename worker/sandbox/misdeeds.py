"""Each fault by name: what goes wrong with one request, before, while and after its messages are taken.

Refusing a connection is the one fault no server can play from inside: whoever wants it stops the process.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import TypeVar

from worker.sandbox.answers import LABEL, Line, error
from worker.sandbox.codes import RequestError

T = TypeVar("T")
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
STRANGE_ID = 900_000_000_000_001  # nobody asks for ids as high as this

SENDING = frozenset({"message", "message-async"})
LISTED = frozenset({"message", "status"})  # answers with one `<msg>` a message
ALL = frozenset({"message", "message-async", "job", "status"})
UNREAD = "unread"  # in place of a command, while only the head of a request has come


class Ending(Enum):
    """How the exchange ends on the wire."""

    ANSWERED = "the whole answer"
    DROPPED = "the connection closes without a byte"
    CUT = "the head announces the whole body, half of it comes, the connection closes"
    KILLED = "the caller is killed without a byte"
    KILLED_ANSWERING = "the caller reads half of the answer and is killed"
    KILLED_ANSWERED = "the whole answer has come, and the caller is killed before it can act on it"


KILLING = frozenset({Ending.KILLED, Ending.KILLED_ANSWERING, Ending.KILLED_ANSWERED})


def _same(value: T) -> T:
    return value


@dataclass(frozen=True)
class Misdeed:
    """All that can go wrong with a request; the default is that nothing does."""

    wait_before: float = 0.0  # seconds before the request is looked at
    take: bool = True  # False: the account never learns of it
    code: int | None = None  # a message code for `share` of the messages, which are not taken
    job_end: str = "COMPLETE"
    share: float = 1.0  # of the messages; with job_end: those the job takes, from the front
    lines: Callable[[list[Line]], list[Line]] = _same
    body: Callable[[bytes], bytes] = _same
    status: int = 200
    media_type: str = LABEL
    wait_after: float = 0.0  # seconds before the answer leaves
    ending: Ending = Ending.ANSWERED


@dataclass(frozen=True)
class Parameter:
    """A number or, where only 0 and 1 are meant, a truth value. Without a default it must be given."""

    kind: type[int] | type[float] | type[bool]
    least: float = 0
    most: float = 1
    default: float | None = None
    only: frozenset[int] | None = None

    def read(self, name: str, given: object) -> float:
        """The value; raises ValueError with a sentence."""
        numbers = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(given, numbers) or (self.kind is not bool and isinstance(given, bool)):
            raise ValueError(f"{name} must be a {self.kind.__name__}, not {given!r}")
        assert isinstance(given, (int, float))
        if self.only is not None and given not in self.only:
            raise ValueError(f"{name} must be one of {sorted(self.only)}, not {given!r}")
        if not self.least <= given <= self.most:
            raise ValueError(f"{name} must be between {self.least:g} and {self.most:g}, not {given!r}")
        return given


@dataclass(frozen=True)
class Fault:
    """A name of the script: what it does, its parameters, the commands it has a meaning for."""

    misdeed: Callable[[Mapping[str, float]], Misdeed]
    parameters: Mapping[str, Parameter]
    commands: frozenset[str] = ALL


SECONDS = Parameter(float, 0, 3600, 5)
TAKE = Parameter(bool, default=True)
NO_TAKE = Parameter(bool, default=False)
HALF = Parameter(float, 0, 1, 0.5)
WHOLE = Parameter(float, 0, 1, 1)
REQUEST_CODE = Parameter(int, 0, 999, only=frozenset(map(int, RequestError)))
MESSAGE_CODE = Parameter(int, 1, 9999)


def picked(count: int, share: float) -> Iterator[bool]:
    """Which of so many items are meant: evenly spread, always the same, at least one unless share is 0."""
    return (ceil((place + 1) * share) > ceil(place * share) for place in range(count))


def _without(lines: Sequence[Line], share: float) -> list[Line]:
    return [line for line, gone in zip(lines, picked(len(lines), share), strict=True) if not gone]


def _with_strangers(lines: list[Line], count: int) -> list[Line]:
    ids = (str(STRANGE_ID + place) for place in range(count))
    return lines + [Line(own, own, 1, None, 1) for own in ids]


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _other_root(body: bytes) -> bytes:
    return re.sub(b"(</?)package", rb"\1response", body)


def _instead(body: bytes, take: float, status: int = 200, media_type: str = "text/html") -> Misdeed:
    return Misdeed(take=bool(take), body=lambda _: body, status=status, media_type=media_type)


FAULTS: Mapping[str, Fault] = {
    # on the wire
    "slow": Fault(lambda p: Misdeed(wait_after=p["seconds"]), {"seconds": SECONDS}),
    "slow_before": Fault(lambda p: Misdeed(wait_before=p["seconds"]), {"seconds": SECONDS}),
    "drop_before": Fault(lambda _: Misdeed(take=False, ending=Ending.DROPPED), {}),
    "drop_after": Fault(lambda _: Misdeed(ending=Ending.DROPPED), {}),
    "cut": Fault(lambda _: Misdeed(ending=Ending.CUT), {}),
    # kill -9 of the caller, for a sandbox that may
    "kill_unread": Fault(lambda _: Misdeed(take=False, ending=Ending.KILLED), {}, frozenset({UNREAD})),
    "kill_before": Fault(lambda _: Misdeed(take=False, ending=Ending.KILLED), {}),
    "kill_after": Fault(lambda _: Misdeed(ending=Ending.KILLED), {}),
    "kill_answering": Fault(lambda _: Misdeed(ending=Ending.KILLED_ANSWERING), {}),
    "kill_answered": Fault(lambda _: Misdeed(ending=Ending.KILLED_ANSWERED), {}),
    # another answer than ours
    "http": Fault(
        lambda p: _instead(PAGE, p["take"], int(p["code"])),
        {"code": Parameter(int, 400, 599, 500), "take": NO_TAKE},
    ),
    "html": Fault(lambda p: _instead(PAGE, p["take"]), {"take": TAKE}),
    "empty": Fault(lambda p: _instead(b"", p["take"]), {"take": TAKE}),
    "megabyte": Fault(
        lambda p: _instead(b" " * int(p["bytes"]), p["take"]),
        {"bytes": Parameter(int, 1, 2**27, 2**20), "take": TAKE},
    ),
    # verdicts on the whole request
    "throttle": Fault(lambda _: _instead(error(RequestError.THROTTLE), False, media_type=LABEL), {}),
    "error": Fault(
        lambda p: _instead(error(RequestError(int(p["code"]))), p["take"], media_type=LABEL),
        {"code": REQUEST_CODE, "take": NO_TAKE},
    ),
    # verdicts on messages
    "message_code": Fault(
        lambda p: Misdeed(code=int(p["code"]), share=p["share"]),
        {"code": MESSAGE_CODE, "share": WHOLE},
        SENDING | LISTED,
    ),
    "unknown_code": Fault(
        lambda p: Misdeed(lines=lambda lines: [line._replace(code=int(p["code"])) for line in lines]),
        {"code": Parameter(int, 0, 9999, 777)},
        LISTED,
    ),
    # our answer, spoilt
    "truncated": Fault(lambda _: Misdeed(body=_half), {}),
    "wrong_root": Fault(lambda _: Misdeed(body=_other_root), {}),
    "wrong_order": Fault(lambda _: Misdeed(lines=lambda lines: lines[::-1]), {}, LISTED),
    "missing": Fault(lambda p: Misdeed(lines=lambda ls: _without(ls, p["share"])), {"share": HALF}, LISTED),
    "extra": Fault(
        lambda p: Misdeed(lines=lambda lines: _with_strangers(lines, int(p["count"]))),
        {"count": Parameter(int, 1, 10_000, 1)},
        LISTED,
    ),
    "duplicate_items": Fault(
        lambda _: Misdeed(lines=lambda lines: [line for line in lines for _ in range(2)]), {}, LISTED
    ),
    # jobs
    "job_failed": Fault(
        lambda p: Misdeed(job_end="FAILED", share=p["share"]), {"share": HALF}, frozenset({"message-async"})
    ),
    "job_notfound": Fault(
        lambda p: Misdeed(job_end="NOTFOUND", share=p["share"]),
        {"share": WHOLE},
        frozenset({"message-async", "job"}),
    ),
}
