"""What one `<message>` may hold, channel by channel (sheet section 2)."""

from collections.abc import Mapping
from typing import NamedTuple

from lxml import etree

from bulk_dispatch.sandbox.webcom.strict import blank, empty, expect, plain

SMS, VIBER = "sms", "viber"
PLAIN, FLASH, SILENCE, WAP_PUSH, VCARD = "sms", "flashsms", "silence", "wappush", "vcard"
CHANNELS = frozenset({SMS, VIBER})
KINDS = frozenset({PLAIN, FLASH, SILENCE, WAP_PUSH, VCARD})
LONGEST_VIBER_TEXT, LONGEST_BUTTON = 1000, 19  # [same-family docs]

ATTRIBUTES = frozenset({"type_send_1", "type_send_2", "type"})
OF_ALL = frozenset({"name_delivery"})
OF_CHANNEL: Mapping[str, frozenset[str]] = {
    SMS: frozenset({"sender", "text", "translite"}),
    VIBER: frozenset({"sender_viber", "text_viber", "button_viber", "action_viber", "image_viber"}),
}
CARD_TEXTS = frozenset({"name", "email", "position", "organization", "additional"})
CARD_FORMS: Mapping[str, frozenset[str]] = {
    "phone": frozenset({"cell", "work", "fax"}),
    "address": frozenset({"post_office_box", "street", "city", "region", "postal_code", "country"}),
}
OF_KIND: Mapping[str, frozenset[str]] = {
    WAP_PUSH: frozenset({"url"}),
    VCARD: CARD_TEXTS | CARD_FORMS.keys() | {"url"},
}


class Content(NamedTuple):
    """One `<message>` without its recipients. What is absent is empty."""

    channels: tuple[str, ...]  # in the order they are tried
    kind: str  # of SMS
    fields: Mapping[str, str]  # the elements by name; of a card also "phone work" and such
    escaped: bool = True  # line breaks come as two characters (sheet section 1); else as themselves

    def get(self, name: str) -> str:
        """The field as a person would see it."""
        field = self.fields.get(name, "")
        return field.replace("\\n", "\n") if self.escaped else field

    @property
    def card(self) -> dict[str, str]:
        """What is filled in of a business card, but for its name."""
        ours = OF_CHANNEL[SMS] | OF_ALL | OF_CHANNEL[VIBER] | {"name"}
        return {name: value for name, value in self.fields.items() if name not in ours and value.strip()}


def read_content(message: etree._Element, *, escaped: bool = True) -> Content:
    """All but the recipients; raises `DocumentRefused`. `escaped`: see `Content`."""
    channels, kind = _channels(message), message.get("type", PLAIN)
    expect(ATTRIBUTES.issuperset(message.attrib.keys()) and kind in KINDS and blank(message.text))
    allowed = OF_ALL.union(*(OF_CHANNEL[channel] for channel in channels))
    if SMS in channels:
        allowed |= OF_KIND.get(kind, frozenset())
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for child in message:
        name = str(child.tag)
        expect(blank(child.tail))
        if name != "abonent":
            expect(name in allowed and name not in seen)
            seen.add(name)
            fields.update(_fields(child, name))
    _check_viber(fields)
    expect(fields.get("translite", "0") in {"0", "1"})
    return Content(channels, kind, fields, escaped)


def _channels(message: etree._Element) -> tuple[str, ...]:
    """`type_send_1` is required; the second would be no fallback if it were the same."""
    first, second = message.get("type_send_1"), message.get("type_send_2")
    expect(first in CHANNELS and (second is None or (second in CHANNELS and second != first)))
    assert first is not None
    return (first,) if second is None else (first, second)


def _fields(element: etree._Element, name: str) -> dict[str, str]:
    """A text under its name, or the attributes of a card's phone and address."""
    if name in CARD_FORMS:
        return {f"{name} {part}": value for part, value in empty(element, CARD_FORMS[name]).items()}
    return {name: plain(element)}


def _check_viber(fields: Mapping[str, str]) -> None:
    """The limits that have no text of their own. A button without a link has: 13."""
    get = fields.get
    expect(
        len(get("text_viber", "")) <= LONGEST_VIBER_TEXT and len(get("button_viber", "")) <= LONGEST_BUTTON
    )
    wants_button = get("action_viber") or get("image_viber")
    expect(not wants_button or bool(get("button_viber")))
