"""docs/reference/answers.md holds: each answer in its tables, read by its dialect, proves what it says there.

A row is an answer, in which … stands for each of the words beside it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers.alphasms import codes as xml_codes
from bulk_dispatch.providers.alphasms import http_codes
from bulk_dispatch.providers.failures import Acceptance, Failure, RouteAction
from bulk_dispatch.providers.interface import (
    Account,
    Answered,
    Asked,
    JobPhase,
    JobReport,
    JobTaken,
    Push,
    Reply,
    StatusReport,
)
from bulk_dispatch.providers.smartswitch import codes as smart_codes
from bulk_dispatch.providers.webcom import error_texts as webcom
from tests.providers.harness import sms

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "answers.md"

ACCOUNT = Account("https://provider.example", key="k", login="shop-login", password="shop-password")
ITEM = sms(700001)
ASKED = Asked(700001, "9100451")

TAKEN, NOT_TAKEN, PERHAPS, NOTHING = "taken", "not taken", "perhaps", "nothing"

ROUTE = {
    RouteAction.NONE: "",
    RouteAction.PAUSE: "; the route pauses",
    RouteAction.STOP: "; the route stops",
    RouteAction.BISECT: "; the package is halved",
}

SENDINGS: Mapping[Status | None, tuple[str, str]] = {
    Status.SENT: (TAKEN, "sent"),
    Status.REJECTED: (NOT_TAKEN, "rejected"),
    Status.QUEUED: (NOT_TAKEN, "queued again"),
    Status.IN_DOUBT: (PERHAPS, "in doubt"),
}
JOBS = {
    JobPhase.RUNNING: (NOTHING, "the job is asked for again"),
    JobPhase.DONE: (NOTHING, "each message is asked for"),
    JobPhase.BROKEN: (PERHAPS, "in doubt, and each is asked for"),
    JobPhase.GONE: (NOTHING, "the job is asked for again, three times; then in doubt"),
}


DENIALS = {True: "no news; in doubt, it is queued again once denied for long enough", False: "no news"}


class Row(NamedTuple):
    """An answer to a question, and what the page says of it."""

    provider: str
    question: str
    http: int
    answer: str
    proves: str
    deed: str


def rows() -> Iterator[Row]:
    """Every answer of the page, once a word."""
    provider = question = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if found := re.match(r"## .*`([a-z-]+)`", line):
            provider = found[1]
        elif found := re.match(r"### To (?:an? )?`?(\w+)`?", line):
            question = found[1]
        elif found := re.match(r"\| (\d{3}) \| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \| .* \|$", line):
            http, answer, words, proves, deed = found.groups()
            for word in re.findall(r"`([^`]*)`", words) or [""]:
                yield Row(provider, question, int(http), answer.replace("…", word), proves, deed)


ROWS = list(rows())


def sending(outcome: Answered | JobTaken | Failure) -> tuple[str, str]:
    """What an answer to a sending proves, and what becomes of the message."""
    if isinstance(outcome, JobTaken):
        return "the package is taken", "the job is asked for"
    if isinstance(outcome, Failure):
        proves, deed = SENDINGS[
            Status.QUEUED if outcome.taken is Acceptance.NOT_ACCEPTED else Status.IN_DOUBT
        ]
        return proves, deed + ROUTE[outcome.remedy]
    [told] = outcome.reports or [StatusReport(ITEM.reference, Status.IN_DOUBT)]
    proves, deed = SENDINGS[told.status]
    if told.used:
        return "an id is used", f"{deed}; on the first attempt held, and the route stops"
    if told.status is Status.REJECTED and told.strange:
        deed += ", in their words"
    return proves, deed + (ROUTE[told.failure.remedy] if told.failure else "")


def state(outcome: Answered | Failure, denial: str = "no news") -> tuple[str, str]:
    """The same of a state that was asked for, or of a cancellation. `denial`: what becomes of a message that
    they do not know."""
    if isinstance(outcome, Failure):
        return NOTHING, "asked again"
    [told] = outcome.reports or [StatusReport(ITEM.reference, None, known=False)]
    if not told.known:
        return "not known there", denial
    if told.used:
        return "an id is used", "no news; of what first left in a job held, and the route stops"
    return _news(told)


def _news(told: StatusReport | DeliveryReceipt) -> tuple[str, str]:
    if told.status is None:
        return NOTHING, "no news"
    if told.status is Status.SENT:
        return TAKEN, "no end yet"
    proves = "no end is known" if told.status is Status.UNCONFIRMED else "its end"
    return proves, told.status.value + (" of its first channel" if told.first_channel else "")


def read(row: Row) -> tuple[str, str]:
    """What the reader of the dialect makes of an answer."""
    speaks: Any = dialect(row.provider, ACCOUNT)
    whole = row.answer.removesuffix("✂")
    reply = Reply(row.http, b"" if whole == "nothing" else whole.encode(), ended=whole == row.answer)
    readers: Mapping[str, Callable[[], tuple[str, str]]] = {
        "sending": lambda: sending(speaks.read_submit([ITEM], reply)),
        "question": lambda: state(
            speaks.read_status([ASKED], reply), DENIALS[speaks.doubt is DoubtPolicy.ASK]
        ),
        "cancellation": lambda: state(speaks.read_cancel([ASKED], reply)),
        "job": lambda: _job(speaks.read_job(reply)),
        "receipts": lambda: _pushed(speaks.read_receipts(Push(reply.body))),
    }
    return readers[row.question]()


def _job(report: JobReport | Failure) -> tuple[str, str]:
    return (NOTHING, "the job is asked for again") if isinstance(report, Failure) else JOBS[report.phase]


def _pushed(receipts: Any) -> tuple[str, str]:
    if isinstance(receipts, Failure):
        return NOTHING, "refused at the door"
    [receipt] = receipts
    return _news(receipt)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.provider} {row.question} {row.answer[:60]}")
def test_an_answer_proves_what_the_page_says(row: Row) -> None:
    assert read(row) == (row.proves, row.deed)


def test_every_dialect_and_every_question_has_its_table() -> None:
    asked = {(row.provider, row.question) for row in ROWS}
    assert {provider for provider, _ in asked} == set(PROVIDERS)
    assert {question for _, question in asked} == {"sending", "question", "cancellation", "job", "receipts"}


@pytest.mark.parametrize(
    ("provider", "question", "words"),
    [
        ("alphasms-xml", "sending", {*xml_codes.SUBMITTED.table, *xml_codes.REFUSALS}),
        ("alphasms-xml", "question", set(xml_codes.REPORTED.table)),
        ("alphasms-xml", "cancellation", set(xml_codes.WITHDRAWN.table)),
        ("alphasms-xml", "job", set(xml_codes.JOBS)),
        ("alphasms-http", "question", set(http_codes.STATES)),
        ("webcom-xml", "sending", {_name for _, (_name, *_) in (*webcom.ADMISSIONS, *webcom.REFUSALS)}),
        ("webcom-xml", "question", set(webcom.STATES)),
        ("webcom-xml", "receipts", set(webcom.STATES)),
        ("smartswitch", "sending", {*smart_codes.STATUSES, *smart_codes.ERRORS, *smart_codes.ERROR_WORDS}),
        ("smartswitch", "receipts", set(smart_codes.STATES)),
    ],
)
def test_every_code_we_know_stands_on_the_page(provider: str, question: str, words: set[str]) -> None:
    told = "\n".join(
        row.answer.casefold() for row in ROWS if (row.provider, row.question) == (provider, question)
    )
    parts = {part for word in words for part in word.casefold().split(" … ")}
    assert {part for part in parts if not re.search(rf"(?<!\w){re.escape(part)}", told)} == set()


def test_no_end_is_told_that_is_none() -> None:
    ends = {row.deed.removesuffix(" of its first channel") for row in ROWS if row.proves == "its end"}
    assert ends <= {status.value for status in FINAL}
