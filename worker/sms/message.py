"""Message: one text to one recipient, and what makes one acceptable."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from worker.sms.doubt import POLICIES, Doubt

TEXT_LIMIT = 2000  # characters; what a provider carries is less, and checked by its dialect


class Kind(StrEnum):
    """What the phone does with it."""

    SMS = "sms"  # an ordinary text
    FLASH = "flash"  # shown at once, not stored
    VOICE = "voice"  # read aloud to a landline


class Lane(StrEnum):
    """How soon it must leave. The lanes never wait for one another."""

    URGENT = "urgent"  # one-time codes: own queues, own workers, first in every claim
    BULK = "bulk"  # campaigns


class MessageError(ValueError):
    """A message that cannot be sent as it is. Names the `field` and its `value`, masked if it is personal."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        self.field = field
        self.value = value
        self.problem = problem
        super().__init__(f"{field}: {problem}, got {_shown(field, value)}")


def _shown(field: str, value: object) -> str:
    """A value as it may be seen. Where columns are mixed up, any field may hold a text or a number."""
    if not isinstance(value, str):
        return repr(value) if value is None or isinstance(value, int | float) else type(value).__name__
    number = sum(map(str.isdigit, value)) >= 7 and field != "client_id"
    return f"<{len(value)} characters>" if number or len(value) > 40 or value.count(" ") > 2 else repr(value)


class ClientIdConflict(MessageError):
    """The client id was used before, with other content. Nothing is sent; `differences` names the fields."""

    def __init__(self, client_id: str, differences: tuple[str, ...]) -> None:
        self.differences = differences
        super().__init__(
            "client_id", client_id, f"was used before with another {', '.join(differences)}; nothing is sent"
        )


CONTENT = ("kind", "recipient", "sender", "text")
"""What the recipient would notice. The same client id with other content is a conflict, not a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One text to one recipient.

    `client_id` is the caller's own id: unique for ever, so that giving us the same message twice sends it
    once. `recipient` is an international number; blanks, dots, dashes and brackets are dropped and a plus is
    put in front. An empty `route` means the only route there is. `valid_until` (aware) is when it is too
    late to send. `in_doubt` (hold, resend or fail) is what becomes of it where nobody can know whether they
    have it; empty means as its route says. Raises MessageError, which names the field.
    """

    client_id: str
    recipient: str
    sender: str
    text: str
    kind: Kind = Kind.SMS
    lane: Lane = Lane.BULK
    route: str = ""
    campaign: str = ""
    valid_until: datetime | None = None
    in_doubt: Doubt | None = None

    def __post_init__(self) -> None:
        _check_name("client_id", self.client_id, 1, 128)
        _check_name("sender", self.sender, 1, 15)
        _check_name("route", self.route, 0, 64)
        _check_name("campaign", self.campaign, 0, 128)
        _check_text(self.text)
        object.__setattr__(self, "recipient", phone_number(self.recipient))
        object.__setattr__(self, "kind", _member(Kind, "kind", self.kind))
        object.__setattr__(self, "lane", _member(Lane, "lane", self.lane))
        object.__setattr__(self, "valid_until", _instant(self.valid_until))
        object.__setattr__(self, "in_doubt", _policy(self.in_doubt))

    def __repr__(self) -> str:
        return (
            f"Message(client_id={self.client_id!r}, recipient={mask(self.recipient)!r}, "
            f"sender={self.sender!r}, text=<{len(self.text)} characters>, kind={self.kind.value!r}, "
            f"lane={self.lane.value!r}, route={self.route!r})"
        )

    def as_dict(self) -> dict[str, str]:
        """The message as plain JSON values, leaving out defaults; `from_dict` reads it back."""
        whole = {
            "client_id": self.client_id,
            "recipient": self.recipient,
            "sender": self.sender,
            "text": self.text,
        }
        if self.kind is not Kind.SMS:
            whole["kind"] = self.kind.value
        if self.lane is not Lane.BULK:
            whole["lane"] = self.lane.value
        if self.route:
            whole["route"] = self.route
        if self.campaign:
            whole["campaign"] = self.campaign
        if self.valid_until:
            whole["valid_until"] = self.valid_until.isoformat()
        if self.in_doubt:
            whole["in_doubt"] = self.in_doubt.value
        return whole

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Message":
        """A message from plain values (a CSV row, a JSON object, a task argument).

        Raises MessageError for an unknown, missing or unfit field.
        """
        if not isinstance(values, Mapping):
            raise MessageError("message", type(values).__name__, "must be an object of fields")
        if not values.keys() <= _FIELD_SET:
            strange = sorted(map(str, values.keys() - _FIELD_SET))[0]
            # A file without its header row brings numbers and texts as names: they are not repeated.
            name = strange if strange.isidentifier() and len(strange) <= 40 else "…"
            raise MessageError(name, "…", f"is no field of a message; the fields are {', '.join(FIELDS)}")
        for field in _REQUIRED:
            if field not in values:
                raise MessageError(field, None, "is missing")
        return cls(**values)


FIELDS = tuple(field.name for field in fields(Message))
_FIELD_SET = frozenset(FIELDS)
_REQUIRED = ("client_id", "recipient", "sender", "text")


def differences(one: Message, other: Message) -> tuple[str, ...]:
    """The content fields in which two messages differ, in CONTENT's order."""
    return tuple(name for name in CONTENT if getattr(one, name) != getattr(other, name))


def mask(number: str) -> str:
    """A number that may be shown: who carries it, not whose it is.

    >>> mask("+380931110001")
    '+38093…01'
    """
    head = min(6, len(number) - 6)  # a number may be as short as seven digits; four at least stay hidden
    return f"{number[:head]}…{number[-2:]}" if head > 0 else number


# Characters XML 1.0 cannot carry, lone surrogates among them; lxml and Postgres would refuse them later,
# where one message could spoil a whole package.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_SEPARATORS = str.maketrans("", "", " -().\u00a0")
_E164 = re.compile(r"\+?([1-9][0-9]{6,14})", re.ASCII)


def phone_number(value: object) -> str:
    """The number as we write it: a plus and 7 to 15 digits. Raises MessageError."""
    if not isinstance(value, str):
        raise MessageError("recipient", type(value).__name__, "must be a phone number as text")
    if not value or value.isspace():
        raise MessageError("recipient", value, "must not be empty")
    found = _E164.fullmatch(value.translate(_SEPARATORS))
    if not found:
        raise MessageError(
            "recipient", mask(value[:24]), "must be an international phone number of 7 to 15 digits"
        )
    return f"+{found.group(1)}"


def _check_name(field: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, str):
        raise MessageError(field, value, "must be text")
    if len(value) < least or value.isspace():
        raise MessageError(field, value, "must not be empty")
    if len(value) > most:
        raise MessageError(field, value[:20] + "…", f"must be at most {most} characters, not {len(value)}")
    if _CONTROL.search(value):
        raise MessageError(field, value, "must hold no control characters")


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise MessageError("text", type(text).__name__, "must be text")
    if not text or text.isspace():
        raise MessageError("text", "", "must not be empty")
    if len(text) > TEXT_LIMIT:
        raise MessageError("text", f"{len(text)} characters", f"must be at most {TEXT_LIMIT} characters")
    if bad := _UNPRINTABLE.search(text):
        code = f"U+{ord(bad.group()):04X} at {bad.start()}"
        raise MessageError("text", code, "must hold no control characters")


def _member(values: type[Any], field: str, value: object) -> Any:
    try:
        return values(value)
    except ValueError:
        raise _none_of([member.value for member in values], field, value) from None


def _none_of(allowed: Iterable[str], field: str, value: object) -> MessageError:
    return MessageError(field, value, f"must be one of {', '.join(allowed)}")


def _policy(value: object) -> Doubt | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in POLICIES:
        raise _none_of(POLICIES, "in_doubt", value)
    return Doubt(value)


def _instant(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise MessageError("valid_until", value, "must be an ISO 8601 date and time") from None
    if not isinstance(value, datetime):
        raise MessageError("valid_until", value, "must be a date and time")
    if value.tzinfo is None:
        raise MessageError("valid_until", value.isoformat(), "must carry a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise MessageError(
            "valid_until", value.isoformat(), "must lie between the years 1 and 9999"
        ) from None
