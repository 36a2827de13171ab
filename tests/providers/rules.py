"""Rules that no author of a provider's test has to remember: they hold of every request and every outcome.

A request goes to the account's host and names no secret that can be printed; reports are about our messages
only and one for each; a status is one that may be entered so; nothing that can be printed holds a secret, a
text or a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from lxml import etree

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import FINAL, TRANSITIONS, EventType, Status
from bulk_dispatch.providers.account import Balance, Price, Scheduled
from bulk_dispatch.providers.failures import FAILURES, Acceptance, Failure
from bulk_dispatch.providers.interface import Account, Answered, JobReport, JobTaken, Request, StatusReport

SETTLES = TRANSITIONS[EventType.SETTLE][Status.SENDING] - {Status.FAILED}
"""What an answer to a submit may say of a message. Giving a message up is for us to decide, not for them."""

REPORTS = TRANSITIONS[EventType.REPORT][Status.SENT] | SETTLES - {Status.IN_DOUBT} | {None}
"""What an answer to a status request may say: news, what a doubtful message is settled as, or nothing."""

ENDS = FINAL | {Status.UNCONFIRMED}

KNOWN = {*FAILURES, *(failure.doubted() for failure in FAILURES)}
"""Every failure a reader may return or name."""

News: TypeAlias = StatusReport | DeliveryReceipt
Outcome: TypeAlias = (
    Answered
    | JobTaken
    | JobReport
    | Failure
    | Balance
    | timedelta
    | Mapping[str, Price]
    | Sequence[DeliveryReceipt]
    | Sequence[str]
    | tuple[Sequence[Scheduled], int]
)
"""Whatever a reader may return."""

SCHEMAS = Path(__file__).parent / "schemas"


# --- outcomes ----------------------------------------------------------------------------------------


def assert_sound(
    outcome: Outcome,
    references: Sequence[int],
    allowed: Iterable[Status | None],
    account: Account,
    items: Sequence[OutboundMessage] = (),
) -> None:
    """What must hold of whatever a reader returns, however broken the reply."""
    if isinstance(outcome, Answered):
        _assert_reports(outcome.reports, references, allowed)
    elif isinstance(outcome, Failure):
        assert outcome.because() in KNOWN, "a failure that is in no list"
    elif isinstance(outcome, Balance):
        assert outcome.amount.is_finite()
    elif isinstance(outcome, Mapping):
        assert all(price.amount.is_finite() and price.amount >= 0 for price in outcome.values())
        return  # it maps numbers
    elif isinstance(outcome, tuple | list):
        for one in news_of(outcome):
            assert_news(one, REPORTS)
        if not news_of(outcome):
            return  # a stop list, which holds numbers
    assert not shown(account.secrets, repr(outcome) + str(outcome)), "a secret can be printed"
    printed = _printed(outcome)
    assert not [word for item in items for word in personal(item) if word in printed]


def _printed(outcome: Outcome) -> str:
    """An outcome as it may be seen, but for their numbers and names: those are what they are, a phone number
    even."""
    if isinstance(outcome, JobTaken):
        return repr(JobTaken(""))
    if isinstance(outcome, Answered):
        return repr([report._replace(provider_message_id="") for report in outcome.reports])
    return repr(outcome) + str(outcome)


def _assert_reports(
    reports: Sequence[StatusReport], references: Sequence[int], allowed: Iterable[Status | None]
) -> None:
    answered = [report.reference for report in reports]
    assert len(answered) == len(set(answered)), "two reports for one message"
    assert set(answered) <= set(references), "a report for a message that is not ours"
    for report in reports:
        assert_news(report, allowed)
        assert report.failure is None or report.failure.because() in KNOWN
        assert report.known or report.status is None
        assert not report.suppress or report.status is Status.REJECTED
        assert len(report.provider_message_id) <= 64
        assert report.segments is None or 0 < report.segments < 256


def assert_news(news: News, allowed: Iterable[Status | None]) -> None:
    """What a report and a receipt have in common."""
    assert news.status in set(allowed)
    assert len(news.code) <= 64, "a code is a word, not whatever they echo"
    assert news.happened_at is None or news.happened_at.tzinfo is not None
    assert not news.first_channel or news.status in ENDS, "the end of a channel is an end"
    assert not news.read or news.status is Status.DELIVERED
    if isinstance(news, DeliveryReceipt):
        assert 0 < len(news.provider_message_id) <= 64


def decides_nothing(outcome: Outcome) -> bool:
    """Whether an outcome leaves all messages where they may be: not refused, not queued again, not ended."""
    if isinstance(outcome, Failure):
        return outcome.taken is Acceptance.UNKNOWN
    if isinstance(outcome, Answered):
        return all(one.status in (Status.IN_DOUBT, None) for one in outcome.reports)
    if isinstance(outcome, list | Mapping) and not outcome:
        return True
    return bool(news_of(outcome)) and all(one.status is None for one in news_of(outcome))


def says_no_more(outcome: Outcome, whole: Outcome, framed: bool = True) -> bool:
    """Whether an outcome decides nothing but what the whole answer decided too.

    Where answers are not `framed`, by themselves or by HTTP, what was cut off a number cannot be noticed:
    its statuses count alone.
    """
    if outcome == whole or decides_nothing(outcome):
        return True
    if isinstance(outcome, Answered) and isinstance(whole, Answered):
        if not framed:
            theirs = {one.reference: one.status for one in whole.reports}
            return all(one.status in (theirs[one.reference], None) for one in outcome.reports)
        known = {
            *whole.reports,
            *(one._replace(provider_message_id="", segments=None) for one in whole.reports),
        }
        known |= {one._replace(segments=None) for one in whole.reports}
        return known.issuperset(outcome.reports)
    if news_of(outcome):
        return all(one in news_of(whole) or one.status is None for one in news_of(outcome))
    return not framed and type(outcome) is type(whole) and not isinstance(outcome, Failure)


def news_of(outcome: Outcome) -> list[DeliveryReceipt]:
    """The receipts of an outcome that has some."""
    if isinstance(outcome, tuple | list):
        return [one for one in outcome if isinstance(one, DeliveryReceipt)]
    return []


# --- requests ----------------------------------------------------------------------------------------


def assert_request(request: Request, account: Account, provider: str, *, secrets_in_url: bool) -> None:
    """What must hold of whatever is about to leave."""
    assert request.method == "POST"
    url = urlsplit(request.url)
    assert url.netloc == urlsplit(account.url).netloc, "it would leave the account's host"
    assert not url.fragment
    assert request.url.isascii()
    assert request.url.isprintable()
    assert not shown(account.secrets, url.path), "a path is not the place for a secret"
    assert secrets_in_url or not shown(account.secrets, request.url)
    assert not shown(account.secrets, repr(request) + str(request))
    if schema := _schema(provider):
        document = etree.fromstring(request.body)
        assert schema.validate(document), [error.message for error in schema.error_log]


@cache
def _schema(provider: str) -> etree.RelaxNG | None:
    """The schema of its request documents, written from the protocol sheet, where they are XML."""
    path = SCHEMAS / f"{provider}.rng"
    return etree.RelaxNG(etree.parse(path)) if path.exists() else None


def parameters(request: Request) -> list[tuple[str, str]]:
    """The parameters of a request in their order: of its query, or else of its form."""
    query = urlsplit(request.url).query
    assert not (query and request.body), "either a query or a form"
    return parse_qsl(query or request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


def assert_same(request: Request, expected: str | Sequence[tuple[str, str]]) -> None:
    """That the request says so: an XML document, or parameters in this order."""
    if isinstance(expected, str):
        assert as_document(request.body) == as_document(expected.encode())
    else:
        assert parameters(request) == list(expected)


# --- what must not be seen ---------------------------------------------------------------------------


def shown(secrets: Iterable[str], printed: str) -> list[str]:
    """The secrets that can be seen in it, as they are or as a URL writes them."""
    return [
        secret
        for secret in secrets
        if any(form in printed for form in (secret, quote(secret, safe=""), quote_plus(secret)))
    ]


def personal(item: OutboundMessage) -> list[str]:
    """What is nobody's business: the number, with and without its plus, and what is read."""
    words = (item.recipient, item.recipient.lstrip("+"), *item.content.as_dict().values())
    return [word for word in words if len(word) > 4]


# --- documents ---------------------------------------------------------------------------------------

Tree = tuple[str, dict[str, str], str, list["Tree"]]


def as_document(body: bytes) -> Tree:
    """An XML document as a value in which the order of attributes and the layout do not count."""
    return _tree(etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True)))


def _tree(element: etree._Element) -> Tree:
    text = element.text or ""
    children = [_tree(child) for child in element]
    return str(element.tag), dict(element.attrib), "" if children else text, children  # type: ignore[arg-type]


NOW = datetime.fromisoformat("2031-03-04T07:00:00+00:00")
"""The instant at which all cases play."""
