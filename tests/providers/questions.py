"""Everything a dialect can ask or be told: how to ask, how to read, and an answer as it should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.account import Balances, Prices, Scheduling, StopLists
from bulk_dispatch.providers.interface import (
    Account,
    Cancels,
    Clocks,
    Dialect,
    Jobs,
    Push,
    Receipts,
    Reply,
    Request,
    Statuses,
)
from tests.providers.rules import NOW, REPORTS, SETTLES, Outcome, assert_sound

if TYPE_CHECKING:
    from tests.providers.harness import Sample


@dataclass(frozen=True)
class Question:
    """One thing that is asked, or pushed to us (then there is no request)."""

    request: Request | None
    read: Callable[[Reply], Outcome]
    good: bytes  # what is answered, every message with a word
    items: Sequence[OutboundMessage] = ()
    allowed: frozenset[Status | None] = REPORTS

    def sound(self, reply: Reply, account: Account) -> Outcome:
        """What is read, once it has been held to the rules."""
        outcome = self.read(reply)
        references = [item.reference for item in self.items]
        assert_sound(outcome, references, self.allowed, account, self.items)
        return outcome


OTHERS: dict[str, tuple[type, Callable[..., Request], Callable[..., Any], str]] = {
    "job": (Jobs, lambda it, about: it.job(about), lambda it, about, reply: it.read_job(reply), ""),
    "balance": (Balances, lambda it, _: it.balance(), lambda it, _, reply: it.read_balance(reply), ""),
    "prices": (
        Prices,
        lambda it, about: it.prices(about),
        lambda it, about, reply: it.read_prices(about, reply),
        "price_items",
    ),
    "cancel": (
        Cancels,
        lambda it, about: it.cancel(about),
        lambda it, about, reply: it.read_cancel(about, reply),
        "cancel_items",
    ),
    "clock": (Clocks, lambda it, _: it.clock(), lambda it, now, reply: it.read_clock(reply, now), ""),
    "stop_list": (
        StopLists,
        lambda it, _: it.stop_list(),
        lambda it, _, reply: it.read_stop_list(reply),
        "",
    ),
    "scheduled": (
        Scheduling,
        lambda it, page: it.scheduled(page),
        lambda it, _, reply: it.read_scheduled(reply),
        "",
    ),
}
"""What only some can do: its protocol, how it is asked, how it is read, and what bounds it."""


def about(question: str, sample: "Sample", speaker: Dialect) -> Any:
    """What the sample asks about."""
    match question:
        case "job":
            return "c41d07aa5be2496f8d13f0927be6a55e"
        case "clock":
            return NOW
        case "scheduled":
            return 1
        case "prices":
            return list(dict.fromkeys(item.recipient for item in bounded(question, sample, speaker)))
        case "cancel":
            return sample.asked(bounded(question, sample, speaker))
    return None


def bounded(question: str, sample: "Sample", speaker: Dialect) -> Sequence[OutboundMessage]:
    """The items that fit one question."""
    return sample.items[: getattr(speaker, OTHERS[question][3])]


def calls(sample: "Sample", speaker: Dialect) -> list[Sequence[OutboundMessage]]:
    """The sample's items as they leave: one family a package, so many a request."""
    families = [list(group) for _, group in groupby(sample.items, lambda item: speaker.apart(item.kind))]
    size = speaker.limits.call or speaker.limits.items
    return [items[start : start + size] for items in families for start in range(0, len(items), size)]


def first_calls(sample: "Sample", speaker: Dialect) -> dict[str, Sequence[OutboundMessage]]:
    """The first request of each family."""
    found: dict[str, Sequence[OutboundMessage]] = {}
    for call in calls(sample, speaker):
        found.setdefault(speaker.apart(call[0].kind), call)
    return found


def questions(sample: "Sample", speaker: Dialect) -> dict[str, Question]:
    """Everything that can be asked over HTTP."""
    found = {
        f"submit {family}".strip(): _submit(sample, speaker, items)
        for family, items in first_calls(sample, speaker).items()
    }
    if isinstance(speaker, Statuses):
        assert sample.status_answer, "a dialect with Statuses has an answer to them"
        items = sample.items[: speaker.status_items]
        asked = sample.asked(items)
        good = sample.status_answer((item, sample.delivers) for item in items)
        status = speaker
        found["status"] = Question(
            status.status(asked), lambda reply: status.read_status(asked, reply), good, items
        )
    return found | {
        name: _other(name, sample, speaker) for name, kind in OTHERS.items() if isinstance(speaker, kind[0])
    }


def _submit(sample: "Sample", speaker: Dialect, items: Sequence[OutboundMessage]) -> Question:
    return Question(
        speaker.submit(items),
        lambda reply: speaker.read_submit(items, reply),
        sample.submit_answer((item, sample.takes) for item in items),
        items,
        frozenset(SETTLES),
    )


def _other(name: str, sample: "Sample", speaker: Dialect) -> Question:
    _, ask, read, bound = OTHERS[name]
    what = about(name, sample, speaker)
    return Question(
        ask(speaker, what),
        lambda reply: read(speaker, what, reply),
        sample.answers[name],
        bounded(name, sample, speaker) if bound else (),
    )


def pushes(sample: "Sample", speaker: Dialect) -> dict[str, Question]:
    """Everything that is pushed to us: each of the sample's pushes, and the same form in the address."""
    if not isinstance(speaker, Receipts):
        return {}
    listener = speaker

    def read(content_type: str) -> Callable[[Reply], Outcome]:
        return lambda reply: listener.read_receipts(Push(reply.body, content_type=content_type))

    def read_query(reply: Reply) -> Outcome:
        return listener.read_receipts(Push(b"", reply.body.decode("latin-1")))

    found = {
        f"push {place}": Question(None, read(push.content_type), push.body)
        for place, push in enumerate(sample.pushes)
        if push.body
    }
    queries = [push.query.encode() for push in sample.pushes if push.query]
    return found | ({"push by query": Question(None, read_query, queries[0])} if queries else {})
