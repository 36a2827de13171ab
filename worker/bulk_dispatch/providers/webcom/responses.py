"""An answer of webcom's gateway: its document, what it is asked for there, or the error instead.

Source: vendor documentation.
"""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import numbers, xml
from bulk_dispatch.providers.interface import Reply, read_http
from bulk_dispatch.providers.webcom.error_texts import REFUSALS, find, rooted, text_of

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")


def document_of(reply: Reply, other: str = "response") -> xml.Element | Failure:
    """The response, or `other`. With HTTP 400 comes one, too, unless it was not they who spoke; what they
    only began to say may have been anything."""
    http = read_http(reply)
    if http and reply.status != 400:
        return http
    document = rooted(reply.body, "response", other)
    if http and isinstance(document, Failure) and b"<response" not in reply.body:
        return http
    return document


def elements(reply: Reply, tag: str, root: str = "response") -> list[xml.Element] | Failure:
    """The elements of that name; else the error. An answer that is there and empty has none."""
    document = document_of(reply, root)
    if isinstance(document, Failure):
        return document
    if found := list(document.iter(tag)):
        return found
    return error_in(document) or ([] if is_empty(document) else _nothing(tag))


def error_in(document: xml.Element) -> Failure | None:
    """What `<error>` amounts to; None if there is none."""
    texts = {text_of(element) for element in document.iter("error")}
    if len(texts) != 1:
        return UNREADABLE.because(detail="errors that differ") if texts else None
    found = find(texts.pop(), REFUSALS)
    return found[1].because(code=found[0]) if found else UNREADABLE.because(code="?", detail="a new error")


def is_empty(document: xml.Element) -> bool:
    """Neither elements nor a text."""
    return not len(document) and not text_of(document)


def instant(moment: str | None, zone: ZoneInfo) -> datetime | None:
    """An instant in UTC from the account's local time; None while there is none, and for what is none."""
    time = (moment or "").strip()
    return numbers.instant(time, zone) if MOMENT.fullmatch(time) else None


def ended(moment: str, zone: ZoneInfo) -> datetime | None:
    """When something happened, in UTC, from the account's local time; None while it has not."""
    time = moment.strip()
    return numbers.ended(time, zone) if MOMENT.fullmatch(time) else None


def _nothing(tag: str) -> Failure:
    return UNREADABLE.because(detail=f"neither {tag} nor an error in it")
