"""What webcom's gateway tells of an account: its money, its clock, its stop list, what it holds.

Source: vendor documentation, and that of other gateways on the same platform ("family").
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.numbers import phone_number
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.account import Balance, Scheduled
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import xml
from bulk_dispatch.providers.formats.numbers import money
from bulk_dispatch.providers.interface import Reply
from bulk_dispatch.providers.webcom.error_texts import text_of, theirs
from bulk_dispatch.providers.webcom.responses import (
    MOMENT,
    document_of,
    elements,
    error_in,
    instant,
    is_empty,
)

CURRENCY = re.compile(r"\w{1,8}")  # in what form is unpublished
HOUR = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
PAGES = re.compile(r"[0-9]{1,6}")


def read_scheduled(reply: Reply, zone: ZoneInfo) -> tuple[Sequence[Scheduled], int] | Failure:
    """What `<phones>` holds; it may stand alone or in a response."""
    answers = elements(reply, "phones", root="phones")
    if isinstance(answers, Failure):
        return answers
    pages = answers[0].get("num_pages", "").strip() if len(answers) == 1 else ""
    if not PAGES.fullmatch(pages):
        return UNREADABLE.because(detail="not one page of what is scheduled")
    waiting = answers[0].iter("scheduled")
    return [
        Scheduled(
            provider_message_id=number,
            recipient=_recipient(one.get("phone")) or "",
            send_at=instant(one.get("time_send"), zone),
        )
        for one in waiting
        if (number := theirs(one.get("id_sms")))
    ], int(pages)


def read_balance(reply: Reply) -> Balance | Failure:
    """`<money>`. The counts of messages beside it all draw on that money."""
    answers = elements(reply, "money")
    if isinstance(answers, Failure):
        return answers
    amounts = {(text_of(answer), answer.get("currency", "").strip()) for answer in answers}
    text, currency = amounts.pop() if len(amounts) == 1 else ("", "")
    amount = money(text.replace(",", "."))
    if amount is None:
        return UNREADABLE.because(detail="not one amount of money in it")
    return Balance(amount, currency if CURRENCY.fullmatch(currency) else "")


def read_clock(reply: Reply, now: datetime, zone: ZoneInfo) -> timedelta | Failure:
    """Their local time, which comes with the day or without; then it is the nearest such hour to `now`.

    Which element holds it is unpublished, so the only time there is will do.
    """
    document = document_of(reply)
    if isinstance(document, Failure):
        return document
    times = {word for word in _words(document) if MOMENT.fullmatch(word) or HOUR.fullmatch(word)}
    here = now.astimezone(zone).replace(tzinfo=None)
    there = _wall_clock(times.pop(), here) if len(times) == 1 else None
    return there - here if there else error_in(document) or UNREADABLE.because(detail="not one time in it")


def read_stop_list(reply: Reply) -> Sequence[str] | Failure:
    """Every element or attribute `phone`: the shape of the list is unpublished."""
    document = document_of(reply)
    if isinstance(document, Failure):
        return document
    if failure := error_in(document):
        return failure
    found = [recipient for phone in _phones(document) if (recipient := _recipient(phone))]
    if found or is_empty(document):
        return list(dict.fromkeys(found))
    return UNREADABLE.because(detail="no list of numbers")


def _recipient(phone: str | None) -> str | None:
    """A number as we write them; None for what is none, such as one that is partly masked. Theirs are
    international, and lack the plus."""
    try:
        return phone_number(phone if phone is None or phone.startswith("+") else f"+{phone}")
    except MessageError:
        return None


def _words(document: xml.Element) -> Iterator[str]:
    """Every text and every attribute."""
    for element in document.iter("*"):
        yield text_of(element)
        yield from (str(value).strip() for value in element.attrib.values())


def _phones(document: xml.Element) -> Iterator[str]:
    """Every element `phone` that holds a text, and every attribute of that name."""
    for element in document.iter("*"):
        if element.tag == "phone" and text_of(element):
            yield text_of(element)
        if (phone := element.get("phone")) is not None:
            yield phone


def _wall_clock(time: str, here: datetime) -> datetime | None:
    """A time as it stands on their wall, of the day that puts it nearest to `here`."""
    try:
        if MOMENT.fullmatch(time):
            return datetime.fromisoformat(time)
        there = datetime.fromisoformat(f"{here:%Y-%m-%d} {time}")
    except ValueError:  # such as the 31st of November, or 25 o'clock
        return None
    half = timedelta(hours=12)
    if there - here > half:
        return there - 2 * half
    return there + 2 * half if here - there > half else there
