"""All documents but those to send: small, and as strict (sheet sections 4, 6, 7 and 8)."""

import re
from collections.abc import Callable, Mapping

from lxml import etree

from bulk_dispatch.sandbox.webcom.request import Request
from bulk_dispatch.sandbox.webcom.strict import blank, empty, expect, plain

ID_SMS = re.compile(r"[0-9]{1,20}")
DIGITS = re.compile(r"[0-9]{1,20}")
PAGE = re.compile(r"[1-9][0-9]{0,8}")
URL = re.compile(r"https?://[!-~]{1,1000}")

Inside = list[etree._Element]  # noqa: SLF001 - lxml has no other name; what stands beside `<security>`
Read = Callable[[Inside], Request]


def _bare(command: str) -> Read:
    """Nothing but `<security>`."""

    def read(inner: Inside) -> Request:
        expect(not inner)
        return Request(command)

    return read


def _state(inner: Inside) -> Request:
    """Of messages, by the gateway's numbers (section 4.1)."""
    children = _children(_only(inner, "get_state"), "id_sms")
    ids = [plain(child) for child in children]
    expect(bool(ids) and all(ID_SMS.fullmatch(one) for one in ids))
    return Request("state", ids=ids)


def _list_scheduled(inner: Inside) -> Request:
    """Section 7: the whole list cannot be had at once, so a page must be named."""
    page = empty(_only(inner, "scheduled"), frozenset({"page"})).get("page", "")
    expect(PAGE.fullmatch(page) is not None)
    return Request("list_scheduled", page=int(page))


def _scheduled(inner: Inside) -> Request:
    """Section 7: those to be deleted."""
    children = _children(_only(inner, "delete_schedule"), "schedule")
    ids = [empty(child, frozenset({"id_sms"})).get("id_sms", "") for child in children]
    expect(bool(ids) and all(ID_SMS.fullmatch(one) for one in ids))
    return Request("scheduled", ids=ids)


def _stop(inner: Inside) -> Request:
    """Either or both of two lists. The shape is not in the sheet, which has the path only [vendor docs]."""
    phones: dict[str, list[str]] = {"add_stop": [], "delete_stop": []}
    tags = [str(child.tag) for child in inner]
    expect(bool(tags) and len(set(tags)) == len(tags) and phones.keys() >= set(tags))
    for child in inner:
        expect(not child.attrib)
        for phone in _children(child, "phone"):
            digits = empty(phone, frozenset({"phone"})).get("phone", "")
            expect(DIGITS.fullmatch(digits) is not None)
            phones[str(child.tag)].append(digits)
    expect(any(phones.values()))
    return Request("stop", stopped=phones["add_stop"], unstopped=phones["delete_stop"])


def _get_state(inner: Inside) -> Request:
    """`type="set"` with the URL, or `type="get"` (sheet section 4.2)."""
    expect(len(inner) == 1 and inner[0].tag == "get_state")
    asked = inner[0]
    kind, url = asked.get("type"), asked.text or ""
    expect(not len(asked) and set(asked.attrib.keys()) == {"type"} and kind in {"set", "get"})
    expect(blank(url) if kind == "get" else URL.fullmatch(url) is not None)
    return Request("get_state", url=url if kind == "set" else None)


def _only(inner: Inside, tag: str) -> etree._Element:
    expect(len(inner) == 1 and inner[0].tag == tag)
    return inner[0]


def _children(element: etree._Element, tag: str) -> list[etree._Element]:
    """All of them of this name, with nothing between."""
    children = list(element)
    expect(not element.attrib and blank(element.text))
    expect(all(child.tag == tag and blank(child.tail) for child in children))
    return children


QUESTIONS: Mapping[str, Read] = {
    "state": _state,
    "balance": _bare("balance"),
    "list_scheduled": _list_scheduled,
    "scheduled": _scheduled,
    "time": _bare("time"),
    "list_stop": _bare("list_stop"),
    "stop": _stop,
    "originator": _bare("originator"),
    "get_state": _get_state,
}
