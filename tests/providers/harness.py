"""Strict runners for tables of provider cases. A provider's test file holds data; the rules live here.

Every case, whatever its provider, is also held to the rules no author has to remember: the request goes to
the account's host and names no secret in its address, verdicts are about our messages only and one for each,
a status is one that its verb may enter, and nothing that can be printed holds a secret, a text or a number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from urllib.parse import urlsplit

from lxml import etree

from worker.providers import dialect
from worker.providers.contract import (
    FAILURES,
    Account,
    Answered,
    Asked,
    Dialect,
    Failure,
    JobReport,
    Jobs,
    JobTaken,
    Reply,
    Request,
    Taken,
    Verdict,
)
from worker.sms.message import Kind
from worker.sms.package import Item
from worker.sms.status import ROADS, Status, Verb

SETTLES = ROADS[Verb.SETTLE][Status.SENDING] - {Status.FAILED}
"""What an answer to a submit may say of a message. Giving a message up is for us to decide, not for them."""

REPORTS = ROADS[Verb.REPORT][Status.SENT] | SETTLES - {Status.IN_DOUBT} | {None}
"""What an answer to a status request may say: news, what a doubtful message is settled as, or nothing."""

Outcome = Answered | JobTaken | JobReport | Failure


# --- cases -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SubmitCase:
    """Given these items, the request is this document and this reply amounts to that."""

    label: str
    reply: str | bytes
    expected: Sequence[Verdict] | JobTaken | Failure
    items: Sequence[Item] = ()
    request: str = ""  # not compared if empty
    account: Account | None = None  # the sample's, if none is given
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class StatusCase:
    """The same for a status request."""

    label: str
    reply: str | bytes
    expected: Sequence[Verdict] | Failure
    asked: Sequence[Asked] = ()
    request: str = ""
    account: Account | None = None
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class JobCase:
    """The same for a job."""

    label: str
    reply: str | bytes
    expected: JobReport | Failure
    job: str = "c41d07aa5be2496f8d13f0927be6a55e"
    request: str = ""
    account: Account | None = None
    http: int = 200


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One provider as the universal suite needs it. Its test file must hold one, called SAMPLE."""

    accounts: Sequence[Account]  # each mode once, each way to log in once
    items: Sequence[Item]  # some that it carries
    takes: str  # a code that says it took a message, in answer to a submit
    refuses: str  # one that says it refused it
    delivers: str  # one that says it arrived, in answer to a status request
    submit_answer: Callable[[Iterable[tuple[Item, str]]], bytes]  # what it answers, a code for each message
    status_answer: Callable[[Iterable[tuple[Item, str]]], bytes]
    job_answer: bytes | None  # of one that is running
    texts: Callable[[Request], list[str]]  # the texts in a submit request
    submit_table: Mapping[str, Status | None]  # the dialect's own tables: code → status
    status_table: Mapping[str, Status | None]

    @property
    def asked(self) -> list[Asked]:
        """All items, asked for."""
        return [Asked(item.reference) for item in self.items]


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
    items = case.items or sample_of(provider).items
    _check_request(speaker.submit(items), account, case.request)
    outcome = speaker.read_submit(items, reply_of(case.reply, case.http))
    assert_sound(outcome, [item.reference for item in items], SETTLES, account, items)
    _compare(outcome, case.expected)


def run_status(provider: str, case: StatusCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    asked = case.asked or sample_of(provider).asked
    _check_request(speaker.status(asked), account, case.request)
    outcome = speaker.read_status(asked, reply_of(case.reply, case.http))
    assert_sound(outcome, [one.reference for one in asked], REPORTS, account)
    _compare(outcome, case.expected)


def run_job(provider: str, case: JobCase) -> None:
    """Build, compare, read, compare."""
    account, speaker = _speaker(provider, case.account)
    assert isinstance(speaker, Jobs)
    _check_request(speaker.job(case.job), account, case.request)
    outcome = speaker.read_job(reply_of(case.reply, case.http))
    assert_sound(outcome, [], SETTLES, account)
    _compare(outcome, case.expected)


def reply_of(body: str | bytes, http: int = 200) -> Reply:
    """A reply with that body."""
    return Reply(http, body.encode() if isinstance(body, str) else body)


def _speaker(provider: str, account: Account | None) -> tuple[Account, Dialect]:
    account = account or sample_of(provider).accounts[0]
    return account, dialect(provider, account)


def _compare(outcome: Outcome, expected: Sequence[Verdict] | JobTaken | JobReport | Failure) -> None:
    if isinstance(expected, Failure):
        # The detail is a sentence for people: that there is one may matter, how it runs does not.
        assert isinstance(outcome, Failure)
        assert outcome.because(code=outcome.code) == expected
    elif isinstance(expected, JobTaken | JobReport):
        assert outcome == expected
    else:
        assert isinstance(outcome, Answered)
        assert list(outcome.verdicts) == list(expected)


def _check_request(request: Request, account: Account, document: str) -> None:
    assert request.method == "POST"
    assert urlsplit(request.url).netloc == urlsplit(account.url).netloc, "it would leave the account's host"
    assert not _found(account.secrets, repr(request))
    if document:
        assert as_document(request.body) == as_document(document.encode())


# --- rules for every outcome -------------------------------------------------------------------------


def assert_sound(
    outcome: Outcome,
    references: Sequence[int],
    allowed: Iterable[Status | None],
    account: Account,
    items: Sequence[Item] = (),
) -> None:
    """What must hold of whatever a reader returns, however broken the reply."""
    if isinstance(outcome, Answered):
        answered = [verdict.reference for verdict in outcome.verdicts]
        assert len(answered) == len(set(answered)), "two verdicts for one message"
        assert set(answered) <= set(references), "a verdict for a message that is not ours"
        assert {verdict.status for verdict in outcome.verdicts} <= set(allowed)
        assert all(verdict.failure is None or verdict.failure in FAILURES for verdict in outcome.verdicts)
        assert all(verdict.known or verdict.status is None for verdict in outcome.verdicts)
    elif isinstance(outcome, Failure):
        assert outcome.because() in FAILURES, "a failure that is in no list"
    else:
        assert isinstance(outcome, JobTaken | JobReport)
    personal = [part for item in items for part in (item.recipient, item.text) if len(part) > 4]
    assert not _found((*account.secrets, *personal), repr(outcome) + str(outcome))


def decides_nothing(outcome: Outcome) -> bool:
    """Whether an outcome leaves all messages where they may be: not refused, not queued again, not ended."""
    if isinstance(outcome, Failure):
        return outcome.taken is Taken.PERHAPS
    return isinstance(outcome, Answered) and all(
        verdict.status in (Status.IN_DOUBT, None) for verdict in outcome.verdicts
    )


def _found(secrets: Iterable[str], printed: str) -> list[str]:
    return [secret for secret in secrets if secret in printed]


# --- documents ---------------------------------------------------------------------------------------

Tree = tuple[str, dict[str, str], str, list["Tree"]]


def as_document(body: bytes) -> Tree:
    """An XML document as a value in which the order of attributes and the layout do not count."""
    return _tree(etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True)))


def _tree(element: etree._Element) -> Tree:
    text = element.text or ""
    children = [_tree(child) for child in element]
    return str(element.tag), dict(element.attrib), "" if children else text, children  # type: ignore[arg-type]


def sms(reference: int, text: str = "Your order is ready", **others: str) -> Item:
    """An item that only its reference and text matter of."""
    return Item(
        id=reference + 9_000_000,
        reference=reference,
        kind=Kind(others.get("kind", "sms")),
        recipient=others.get("recipient", f"+38093111{reference % 10_000:04d}"),
        sender=others.get("sender", "ShopNews"),
        text=text,
    )
