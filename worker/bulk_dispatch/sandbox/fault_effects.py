"""Each fault by name: what goes wrong with one exchange, before, while and after its messages are taken.

Refusing a connection is the one fault no server can play from inside: whoever wants it stops the process.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bulk_dispatch.sandbox.corruption import (
    CODINGS,
    NOISES,
    PAGE,
    compressed,
    deep,
    in_other_encoding,
    noisy,
    of_other_shape,
    with_doctype,
    without,
)
from bulk_dispatch.sandbox.provider import Code, Orders, Provider, Reply, Trait

Values = Mapping[str, Any]


NO_ORDERS = Orders()


class Ending(Enum):
    """How the exchange ends on the wire."""

    ANSWERED = "the whole answer"
    DROPPED = "the connection closes without a byte"
    CUT = "the head announces the whole body, half of it comes, the connection closes"
    TRUNCATED = "the head announces no length, half of the body comes, the connection closes"
    KILLED = "the caller is killed without a byte"
    KILLED_ANSWERING = "the caller reads half of the answer and is killed"
    KILLED_ANSWERED = "the whole answer has come, and the caller is killed before it can act on it"


KILLING = frozenset({Ending.KILLED, Ending.KILLED_ANSWERING, Ending.KILLED_ANSWERED})


class Moment(Enum):
    """When a fault comes up."""

    UNREAD = "only the head of a request has come"
    ASKED = "a request has been read"
    TAKEN = "messages have been taken, and the answer has not left"
    PUSH = "states are about to be pushed"


@dataclass(frozen=True)
class Misdeed:
    """All that can go wrong; the default is that nothing does."""

    wait_before: float = 0.0  # seconds before the request is looked at
    take: bool = True  # False: the account never learns of it
    orders: Orders = NO_ORDERS
    items: Callable[[Provider, str, list[Any]], list[Any]] | None = None  # of this command's answer
    instead: Callable[[Provider], Reply] | None = None  # of our answer
    spoil: Callable[[Reply], Reply] | None = None
    wait_after: float = 0.0  # seconds before the answer leaves
    after_idle: float | None = None  # only where the connection lay idle for so many seconds before
    ending: Ending = Ending.ANSWERED
    # of pushes
    times: int = 1  # each call is made so often
    newest_first: bool = False  # and what is not the end comes after it
    early: bool = False
    strangers: int = 0  # told beside


@dataclass(frozen=True)
class Parameter:
    """A value of a rule. Without a default it must be given."""

    kind: type[int] | type[float] | type[bool] | None  # None: a `Code`
    least: float = 0
    most: float = 1
    default: float | None = None

    def read(self, name: str, given: object) -> Any:
        """The value; raises ValueError with a sentence."""
        if self.kind is None:
            if not isinstance(given, (int, str)) or isinstance(given, bool):
                raise ValueError(f"{name} must be a number or a word, not {given!r}")
            return given
        numbers = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(given, numbers) or (self.kind is not bool and isinstance(given, bool)):
            raise ValueError(f"{name} must be a {self.kind.__name__}, not {given!r}")
        assert isinstance(given, (int, float))
        if not self.least <= given <= self.most:
            raise ValueError(f"{name} must be between {self.least:g} and {self.most:g}, not {given!r}")
        return given


def _always(_provider: Provider, _values: Values) -> None:
    return None


@dataclass(frozen=True)
class Fault:
    """A name of the script: what it does, its parameters, and where it has a meaning."""

    misdeed: Callable[[Values], Misdeed]
    parameters: Mapping[str, Parameter]
    moment: Moment = Moment.ASKED
    traits: Trait | None = None  # for commands that have one of these; None: for all
    objection: Callable[[Provider, Values], str | None] = _always  # why it has none at this provider


SECONDS = Parameter(float, 0, 3600, 5)
TAKE = Parameter(bool, default=True)
NO_TAKE = Parameter(bool, default=False)
HALF = Parameter(float, 0, 1, 0.5)
WHOLE = Parameter(float, 0, 1, 1)
COUNT = Parameter(int, 1, 10_000, 1)
CODE = Parameter(None)
WORD = Parameter(None)


def _instead(reply: Reply, take: bool) -> Misdeed:
    return Misdeed(take=take, instead=lambda _: reply)


def _page(values: Values, status: int = 200) -> Misdeed:
    return _instead(Reply(PAGE, "text/html", status), values["take"])


def _spoilt(spoil: Callable[[Reply], Reply]) -> Callable[[Values], Misdeed]:
    return lambda _: Misdeed(spoil=spoil)


def _throttled(provider: Provider) -> Reply:
    assert provider.throttled is not None
    return provider.throttled


def _never_throttles(provider: Provider, _: Values) -> str | None:
    return None if provider.throttled else f"{provider.name} documents no answer to too many requests"


def _not_one_of(name: str, known: Collection[str], values: Values) -> str | None:
    given = values[name]
    return None if given in known else f"{name} must be one of {', '.join(known)}, not {given!r}"


def _no_such_error(provider: Provider, values: Values) -> str | None:
    known = sorted(provider.errors, key=str)
    return (
        None if values["code"] in provider.errors else f"code must be one of {known}, not {values['code']!r}"
    )


def _no_such_code(provider: Provider, values: Values) -> str | None:
    return None if provider.has_code(values["code"]) else f"{provider.name} has no code {values['code']!r}"


def _not_xml(provider: Provider, _: Values) -> str | None:
    return None if provider.shape == "xml" else f"{provider.name} does not answer in XML"


def _flat(provider: Provider, _: Values) -> str | None:
    return None if provider.shape != "text" else f"{provider.name} answers in plain text"


def _recoded(code: Code) -> Misdeed:
    return Misdeed(items=lambda provider, _, items: [provider.recoded(item, code) for item in items])


FAULTS: Mapping[str, Fault] = {
    # on the wire
    "slow": Fault(lambda p: Misdeed(wait_after=p["seconds"]), {"seconds": SECONDS}),
    "slow_before": Fault(lambda p: Misdeed(wait_before=p["seconds"]), {"seconds": SECONDS}),
    "drop_before": Fault(lambda _: Misdeed(take=False, ending=Ending.DROPPED), {}),
    "drop_after": Fault(lambda _: Misdeed(ending=Ending.DROPPED), {}),
    # As the time of an idle connection runs out just when the next request is on its way.
    "drop_idle": Fault(
        lambda p: Misdeed(take=False, ending=Ending.DROPPED, after_idle=p["seconds"]),
        {"seconds": Parameter(float, 0, 3600, 1)},
    ),
    "cut": Fault(lambda _: Misdeed(ending=Ending.CUT), {}),
    "truncated": Fault(lambda _: Misdeed(ending=Ending.TRUNCATED), {}),
    # kill -9 of the caller, for a sandbox that may
    "kill_unread": Fault(lambda _: Misdeed(take=False, ending=Ending.KILLED), {}, Moment.UNREAD),
    "kill_before": Fault(lambda _: Misdeed(take=False, ending=Ending.KILLED), {}),
    "kill_after": Fault(lambda _: Misdeed(ending=Ending.KILLED), {}),
    "kill_answering": Fault(lambda _: Misdeed(ending=Ending.KILLED_ANSWERING), {}),
    "kill_answered": Fault(lambda _: Misdeed(ending=Ending.KILLED_ANSWERED), {}),
    # another answer than ours
    "http": Fault(lambda p: _page(p, p["code"]), {"code": Parameter(int, 400, 599, 500), "take": NO_TAKE}),
    "html": Fault(_page, {"take": TAKE}),
    "empty": Fault(lambda p: _instead(Reply(b"", "text/html"), p["take"]), {"take": TAKE}),
    "megabyte": Fault(
        lambda p: _instead(Reply(b" " * p["bytes"], "text/html"), p["take"]),
        {"bytes": Parameter(int, 1, 2**27, 2**20), "take": TAKE},
    ),
    # reports on the whole request
    "throttle": Fault(lambda _: Misdeed(take=False, instead=_throttled), {}, objection=_never_throttles),
    "error": Fault(
        lambda p: Misdeed(take=p["take"], instead=lambda provider: provider.errors[p["code"]]),
        {"code": CODE, "take": NO_TAKE},
        objection=_no_such_error,
    ),
    # reports on messages
    "message_code": Fault(
        lambda p: Misdeed(orders=Orders(code=p["code"], share=p["share"])),
        {"code": CODE, "share": WHOLE},
        traits=Trait.SENDS | Trait.LISTS,
        objection=_no_such_code,
    ),
    "unknown_code": Fault(
        lambda p: _recoded(p["code"]), {"code": Parameter(None, default=777)}, traits=Trait.LISTS
    ),
    # our answer, spoilt
    "wrong_root": Fault(_spoilt(of_other_shape), {}),
    "wrong_encoding": Fault(_spoilt(in_other_encoding), {}),
    "deep": Fault(
        lambda p: Misdeed(spoil=lambda reply: deep(reply, p["levels"])),
        {"levels": Parameter(int, 1, 10**6, 100_000)},
        objection=_flat,
    ),
    "doctype": Fault(_spoilt(with_doctype), {}, objection=_not_xml),
    "compressed": Fault(
        lambda p: Misdeed(spoil=lambda reply: compressed(reply, p["coding"])),
        {"coding": WORD},
        objection=lambda _, values: _not_one_of("coding", CODINGS, values),
    ),
    "noisy": Fault(
        lambda p: Misdeed(spoil=lambda reply: noisy(reply, p["noise"])),
        {"noise": WORD},
        objection=lambda _, values: _not_one_of("noise", NOISES, values),
    ),
    "wrong_order": Fault(
        lambda _: Misdeed(items=lambda _provider, _command, items: items[::-1]), {}, traits=Trait.LISTS
    ),
    "missing": Fault(
        lambda p: Misdeed(items=lambda _provider, _command, items: without(items, p["share"])),
        {"share": HALF},
        traits=Trait.LISTS,
    ),
    "extra": Fault(
        lambda p: Misdeed(
            items=lambda provider, command, items: items + provider.strangers(command, p["count"])
        ),
        {"count": COUNT},
        traits=Trait.LISTS,
    ),
    "duplicate_items": Fault(
        lambda _: Misdeed(items=lambda _provider, _command, items: [one for one in items for _ in range(2)]),
        {},
        traits=Trait.LISTS,
    ),
    # jobs
    "job_failed": Fault(
        lambda p: Misdeed(orders=Orders(job_end="FAILED", share=p["share"])),
        {"share": HALF},
        traits=Trait.SUBMITS_JOB,
    ),
    "job_notfound": Fault(
        lambda p: Misdeed(orders=Orders(job_end="NOTFOUND", share=p["share"])),
        {"share": WHOLE},
        traits=Trait.SUBMITS_JOB | Trait.JOB,
    ),
    # pushes of states
    "twice": Fault(lambda _: Misdeed(times=2), {}, Moment.PUSH),
    "reversed": Fault(lambda _: Misdeed(newest_first=True), {}, Moment.PUSH),
    "late": Fault(lambda p: Misdeed(wait_before=p["seconds"]), {"seconds": SECONDS}, Moment.PUSH),
    "unknown": Fault(lambda p: Misdeed(strangers=p["count"]), {"count": COUNT}, Moment.PUSH),
    "early": Fault(lambda _: Misdeed(early=True), {}, Moment.TAKEN),
}
