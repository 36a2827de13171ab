"""Strict runners for tables of provider cases. A provider's test file holds data; the rules live here.

Every case, whatever its provider, is also held to `rules`, and its requests to the schema of the provider
where there is one (schemas/NAME.rng).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bulk_dispatch.domain.content import KINDS, Kind, content_of
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers import dialect
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import (
    Account,
    Acknowledgement,
    Answered,
    Asked,
    Dialect,
    JobReport,
    Jobs,
    JobTaken,
    Push,
    Receipts,
    Reply,
    Request,
    Statuses,
    StatusReport,
)
from tests.providers.questions import OTHERS
from tests.providers.rules import (
    NOW,
    REPORTS,
    SETTLES,
    Outcome,
    as_document,
    assert_request,
    assert_same,
    assert_sound,
)

__all__ = [
    "NOW",
    "AskCase",
    "JobCase",
    "PushCase",
    "Sample",
    "StatusCase",
    "SubmitCase",
    "as_document",
    "run_ask",
    "run_job",
    "run_push",
    "run_status",
    "run_submit",
    "sample_of",
    "sms",
]

Wire: TypeAlias = str | Sequence[tuple[str, str]]
"""A request as a table shows it: an XML document, or parameters in their order. Not compared if empty."""


# --- cases -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SubmitCase:
    """Given these items of one call, the request is this and this reply amounts to that."""

    label: str
    reply: str | bytes
    expected: Sequence[StatusReport] | JobTaken | Failure
    items: Sequence[OutboundMessage] = ()
    request: Wire = ""
    path: str = ""  # not compared if empty
    account: Account | None = None  # the sample's, if none is given
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class StatusCase:
    """The same for a status request."""

    label: str
    reply: str | bytes
    expected: Sequence[StatusReport] | Failure
    asked: Sequence[Asked] = ()
    request: Wire = ""
    path: str = ""
    account: Account | None = None
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class JobCase:
    """The same for a job."""

    label: str
    reply: str | bytes
    expected: JobReport | Failure
    job: str = "c41d07aa5be2496f8d13f0927be6a55e"
    request: Wire = ""
    path: str = ""
    account: Account | None = None
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class AskCase:
    """The same for what else may be asked: balance, prices, cancel, clock, stop_list, scheduled.

    `about` is what that question is about: recipients, messages asked for, the instant, the page.
    """

    label: str
    question: str
    reply: str | bytes
    expected: Any  # reports (cancel), or the very value; a Failure is compared without its detail
    about: Any = None
    request: Wire = ""
    path: str = ""
    account: Account | None = None
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class PushCase:
    """What was pushed amounts to these receipts, and is answered so."""

    label: str
    push: Push
    expected: Sequence[DeliveryReceipt] | Failure
    acknowledged: Acknowledgement | None = None  # not compared if None
    account: Account | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One provider as the universal suite needs it. Its test file must hold one, called SAMPLE."""

    accounts: Sequence[Account]  # each mode once, each way to log in once
    items: Sequence[OutboundMessage]  # some of every kind that it carries, families one after another
    takes: str  # a code that says it took a message, in answer to a submit
    refuses: str  # one that says it refused it
    submit_answer: Callable[
        [Iterable[tuple[OutboundMessage, str]]], bytes
    ]  # to one call, a code for each message
    texts: Callable[[Request], list[str]]  # the text of each message in a submit request, in their order
    submit_table: Mapping[str, Status | None]  # the dialect's own tables: code → status
    status_table: Mapping[str, Status | None] = field(default_factory=dict)
    receipt_table: Mapping[str, Status | None] = field(default_factory=dict)

    delivers: str = ""  # a code that says it arrived, in answer to a status request
    status_answer: Callable[[Iterable[tuple[OutboundMessage, str]]], bytes] | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)  # to job, balance, prices, ... (OTHERS)
    pushes: Sequence[Push] = ()  # each form once; in the query where that is taken

    provider_message_id: Callable[[OutboundMessage], str] = lambda _: (
        ""
    )  # theirs, as the answers above give it
    spelled: Callable[[str], str] = str  # a text as it arrives, where that is not as it was
    named: bool = True  # a report names its message; else a call is of one message and answered so
    framed: bool = True  # an answer shows where it ends
    secrets_in_url: bool = False
    wary: bool = False  # of a submit nothing but HTTP 200 says anything for sure
    body_decides: Collection[int] = ()  # HTTP statuses beside 200 that say nothing before the body

    def asked(self, items: Sequence[OutboundMessage] = ()) -> list[Asked]:
        """These items asked for, or all."""
        return [Asked(item.reference, self.provider_message_id(item)) for item in items or self.items]


def sample_of(provider: str) -> Sample:
    """The sample in the provider's test file. A provider without one fails, and shall."""
    name = f"tests.providers.test_{provider.replace('-', '_')}"
    sample = getattr(import_module(name), "SAMPLE", None)
    assert isinstance(sample, Sample), f"{name} must hold a SAMPLE"
    return sample


# --- runners -----------------------------------------------------------------------------------------


def run_submit(provider: str, case: SubmitCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    items = case.items or _first_call(provider, speaker)
    _check_request(provider, speaker.submit(items), account, case)
    outcome = speaker.read_submit(items, reply_of(case.reply, case.http))
    assert_sound(outcome, [item.reference for item in items], SETTLES, account, items)
    _compare(outcome, case.expected)


def run_status(provider: str, case: StatusCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    assert isinstance(speaker, Statuses)
    asked = case.asked or sample_of(provider).asked()[: speaker.status_items]
    _check_request(provider, speaker.status(asked), account, case)
    outcome = speaker.read_status(asked, reply_of(case.reply, case.http))
    assert_sound(outcome, [one.reference for one in asked], REPORTS, account)
    _compare(outcome, case.expected)


def run_job(provider: str, case: JobCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    assert isinstance(speaker, Jobs)
    _check_request(provider, speaker.job(case.job), account, case)
    outcome = speaker.read_job(reply_of(case.reply, case.http))
    assert_sound(outcome, [], SETTLES, account)
    _compare(outcome, case.expected)


def run_ask(provider: str, case: AskCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    kind, ask, read, _ = OTHERS[case.question]
    assert isinstance(speaker, kind)
    _check_request(provider, ask(speaker, case.about), account, case)
    outcome: Outcome = read(speaker, case.about, reply_of(case.reply, case.http))
    references = [one.reference for one in case.about] if case.question == "cancel" else []
    assert_sound(outcome, references, REPORTS, account)
    _compare(outcome, case.expected)


def run_push(provider: str, case: PushCase) -> None:
    """Read, compare, acknowledge, compare."""
    account, speaker = _speaker(provider, case.account)
    assert isinstance(speaker, Receipts)
    outcome = speaker.read_receipts(case.push)
    assert_sound(outcome, [], REPORTS, account)
    _compare(outcome, case.expected)
    if case.acknowledged is not None:
        assert not isinstance(outcome, Failure)
        assert speaker.acknowledge(outcome) == case.acknowledged


def reply_of(body: str | bytes, http: int = 200) -> Reply:
    """A reply with that body."""
    return Reply(http, body.encode() if isinstance(body, str) else body)


def _first_call(provider: str, speaker: Dialect) -> Sequence[OutboundMessage]:
    """The head of the sample that leaves in one request: one family, and so many at a time."""
    items = sample_of(provider).items
    family = speaker.apart(items[0].kind)
    return [one for one in items if speaker.apart(one.kind) == family][: speaker.limits.call or None]


def _speaker(provider: str, account: Account | None) -> tuple[Account, Dialect]:
    account = account or sample_of(provider).accounts[0]
    return account, dialect(provider, account)


def _compare(outcome: object, expected: object) -> None:
    if isinstance(expected, Failure):
        # The detail is a sentence for people: that there is one may matter, how it runs does not.
        assert isinstance(outcome, Failure)
        assert outcome.because(code=outcome.code) == expected
    elif isinstance(outcome, Answered) and isinstance(expected, Sequence):
        assert list(outcome.reports) == list(expected)
    elif isinstance(expected, list):
        assert isinstance(outcome, list | tuple)
        assert list(outcome) == expected
    else:
        assert outcome == expected


def _check_request(
    provider: str,
    request: Request,
    account: Account,
    case: SubmitCase | StatusCase | JobCase | AskCase,
) -> None:
    assert_request(request, account, provider, secrets_in_url=sample_of(provider).secrets_in_url)
    if case.request:
        assert_same(request, case.request)
    if case.path:
        assert urlsplit(request.url).path == case.path


# --- items -------------------------------------------------------------------------------------------


def sms(
    reference: int,
    text: str = "Your order is ready",
    *,
    kind: Kind | str = Kind.SMS,
    recipient: str = "",
    sender: str = "ShopNews",
    send_at: datetime | None = None,
    valid_until: datetime | None = None,
    viber_valid_until: datetime | None = None,
    **fields: str,
) -> OutboundMessage:
    """An item that only its reference and content matter of; `fields` are those of its kind beside `text`,
    which a kind that has none does without. It leaves NOW, or at `send_at`."""
    kind = Kind(kind)
    words = {"text": text} if "text" in KINDS[kind].__dataclass_fields__ else {}
    return OutboundMessage(
        id=reference + 9_000_000,
        reference=reference,
        recipient=recipient or f"+38093111{reference % 10_000:04d}",
        sender=sender,
        content=content_of(kind, words | fields),
        leaves_at=(send_at or NOW) if valid_until or viber_valid_until else None,
        send_at=send_at,
        valid_until=valid_until,
        viber_valid_until=viber_valid_until,
    )
