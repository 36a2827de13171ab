"""Content: what the recipient gets, one value object a kind. Each checks itself and raises MessageError.

Who carries which kind is for the dialects to say (`Dialect.check`); what holds for a kind everywhere is here.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from bulk_dispatch.domain.segments import segments
from bulk_dispatch.domain.validation import (
    MessageError,
    check_name,
    check_sender,
    check_text,
    check_url,
    member,
)


class Kind(StrEnum):
    """What the phone does with it."""

    SMS = "sms"  # an ordinary text
    FLASH = "flash"  # shown at once, not stored
    VOICE = "voice"  # read aloud to a landline
    PING = "ping"  # silent: the recipient sees nothing, the receipt tells whether the phone is on
    WAP = "wap"  # a link that the phone offers to open (WAP-push)
    VCARD = "vcard"  # a business card
    VIBER = "viber"  # Viber and nothing else
    VIBER_SMS = "viber_sms"  # Viber, and an SMS where that does not arrive


@dataclass(frozen=True, slots=True, repr=False)
class _Content:
    """What all contents have. Fields are texts; an optional one that is empty is not there."""

    kind: ClassVar[Kind]

    def __repr__(self) -> str:
        """Nothing of what people read: how much of it."""
        return f"{type(self).__name__}(<{self.size} characters>)"

    @property
    def size(self) -> int:
        """Characters in all fields together."""
        return sum(len(value) for value in self.as_dict().values())

    @property
    def segments(self) -> int | None:
        """SMS segments it will be billed as by our count; None where they are not counted so."""
        return None

    def as_dict(self) -> dict[str, str]:
        """The fields that are there; `content_of` reads them back."""
        return {name: value for name in _FIELDS[self.kind] if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Sms(_Content):
    """An ordinary text message."""

    kind: ClassVar[Kind] = Kind.SMS
    text: str

    def __init__(self, text: str) -> None:
        check_text("text", text)
        _TEXT(self, text)

    @property
    def size(self) -> int:
        return len(self.text)

    def as_dict(self) -> dict[str, str]:
        return {"text": self.text}  # without looking at what else there might be

    @property
    def segments(self) -> int | None:
        return segments(self.text)


_TEXT = Sms.text.__set__  # type: ignore[misc,attr-defined]  # the slot's own, as in Message


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Flash(Sms):
    """A text that is shown at once and not stored."""

    kind: ClassVar[Kind] = Kind.FLASH


@dataclass(frozen=True, slots=True, repr=False)
class Voice(_Content):
    """A text that is read aloud."""

    kind: ClassVar[Kind] = Kind.VOICE
    text: str

    def __post_init__(self) -> None:
        check_text("text", self.text)


@dataclass(frozen=True, slots=True, repr=False)
class Ping(_Content):
    """A silent message: the recipient notices nothing."""

    kind: ClassVar[Kind] = Kind.PING


@dataclass(frozen=True, slots=True, repr=False)
class WapPush(_Content):
    """A link that the phone offers to open, with a line of text if one is wanted."""

    kind: ClassVar[Kind] = Kind.WAP
    url: str
    text: str = ""

    def __post_init__(self) -> None:
        check_url("url", self.url)
        if self.text:
            check_text("text", self.text)


@dataclass(frozen=True, slots=True, repr=False)
class VCard(_Content):
    """A business card: a name, and at least one thing more."""

    kind: ClassVar[Kind] = Kind.VCARD
    name: str
    cell: str = ""
    work: str = ""
    fax: str = ""
    email: str = ""
    url: str = ""
    position: str = ""
    organization: str = ""
    post_office_box: str = ""
    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    additional: str = ""

    def __post_init__(self) -> None:
        check_name("name", self.name, 1, 100)
        for field in _FIELDS[Kind.VCARD]:
            if field not in ("name", "url", "additional"):
                check_name(field, getattr(self, field), 0, 100)
        if self.url:
            check_url("url", self.url)
        check_name("additional", self.additional, 0, 500)
        if len(self.as_dict()) < 2:
            raise MessageError("name", self.name, "is not enough: a card holds at least one thing more")


CAPTION_LIMIT = 19  # characters on a Viber button [alphasms and webcom sheets]
VIBER_LIMIT = 1000  # characters of a Viber text [alphasms and webcom sheets]


@dataclass(frozen=True, slots=True, repr=False)
class Viber(_Content):
    """A Viber message: a text; if wanted a picture (`image`, its address) and a `button` with its `url`."""

    kind: ClassVar[Kind] = Kind.VIBER
    text: str
    image: str = ""
    button: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        check_text("text", self.text, VIBER_LIMIT)
        if self.image:
            check_url("image", self.image)
        check_name("button", self.button, 0, CAPTION_LIMIT)
        if self.url:
            check_url("url", self.url)
        if bool(self.button) != bool(self.url):
            missing = "url" if self.button else "button"
            raise MessageError(missing, "", "must be there: a button has a caption and a link")


@dataclass(frozen=True, slots=True, repr=False)
class ViberSms(Viber):
    """A Viber message, and the SMS that goes out where it does not arrive.

    The message's `sender` is Viber's; the SMS has `sms_sender`, or the same if that is empty.
    """

    kind: ClassVar[Kind] = Kind.VIBER_SMS
    sms_text: str = ""
    sms_sender: str = ""

    def __post_init__(self) -> None:
        Viber.__post_init__(self)
        check_text("sms_text", self.sms_text)
        if self.sms_sender:
            check_sender("sms_sender", self.sms_sender)


Content: TypeAlias = Sms | Flash | Voice | Ping | WapPush | VCard | Viber | ViberSms

KINDS: Mapping[Kind, type[Content]] = {
    made.kind: made for made in (Sms, Flash, Voice, Ping, WapPush, VCard, Viber, ViberSms)
}
"""Every kind with its value object."""


_FIELDS = {kind: tuple(field.name for field in fields(made)) for kind, made in KINDS.items()}
_REQUIRED = {
    kind: tuple(field.name for field in fields(made) if field.default is MISSING)
    for kind, made in KINDS.items()
}


def fields_of(kind: Kind) -> tuple[str, ...]:
    """The fields of contents of a kind."""
    return _FIELDS[kind]


FIELDS = tuple(dict.fromkeys(name for names in _FIELDS.values() for name in names))
"""The fields of all contents."""


def with_line_feeds(text: str) -> str:
    """The text with a line feed for each of its line ends, whatever stood there.

    >>> with_line_feeds("one\\r\\ntwo\\rthree")
    'one\\ntwo\\nthree'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def content_of(kind: Any, values: Mapping[str, Any]) -> Content:
    """The content of a kind from its plain fields; optional ones may be empty or None, as in a table.

    Raises MessageError for a missing, unfit or strange field.
    """
    if kind == "sms" and len(values) == 1 and "text" in values:  # nearly every message there is
        return Sms(values["text"])
    kind = member(Kind, "kind", kind)
    for name in _REQUIRED[kind]:
        if name not in values:
            raise MessageError(name, None, "is missing")
    given = {name: value for name, value in values.items() if value or name in _REQUIRED[kind]}
    for name, value in given.items():
        if name not in _FIELDS[kind]:
            own = ", ".join(_FIELDS[kind]) or "none"
            raise MessageError(name, "…", f"is no field of kind {kind}; its fields are {own}")
        if not isinstance(value, str):
            raise MessageError(name, type(value).__name__, "must be text")
    return KINDS[kind](**given)
