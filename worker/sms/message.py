"""Message: one content to one recipient, and when and how it is to leave."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from worker.sms import content as contents
from worker.sms.content import Content, Kind, Sms, content_of, with_line_feeds
from worker.sms.doubt import POLICIES, Doubt
from worker.sms.fields import MessageError, check_name, instant, mask, member, none_of, phone_number


class Lane(StrEnum):
    """How soon it must leave. The lanes never wait for one another."""

    URGENT = "urgent"  # one-time codes: own queues, workers and claims
    BULK = "bulk"  # campaigns


class ClientIdConflict(MessageError):
    """The client id was used before, with other content. Nothing is sent; `differences` names the fields."""

    def __init__(self, client_id: str, differences: tuple[str, ...]) -> None:
        self.differences = differences
        super().__init__(
            "client_id", client_id, f"was used before with another {', '.join(differences)}; nothing is sent"
        )


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Message:
    """One content to one recipient.

    `client_id` is the caller's own id: unique for ever, so that giving us the same message twice sends it
    once. `recipient` is an international number; blanks, dots, dashes and brackets are dropped and a plus is
    put in front. What they get is `content`, a value object such as Viber; a plain text may be given as
    `text`, of `kind` sms, flash or voice. An empty `route` means the only route there is. Instants are aware:
    `send_at` is when it leaves (None: now), `valid_until` when it is too late for it to arrive,
    `viber_valid_until` when Viber has had its chance. `in_doubt` (hold, resend or fail) is what becomes of it
    where nobody can know whether they have it; empty means as its route says. Raises MessageError, which
    names the field.
    """

    client_id: str
    recipient: str
    sender: str
    content: Content
    lane: Lane
    route: str
    campaign: str
    send_at: datetime | None
    valid_until: datetime | None
    viber_valid_until: datetime | None
    in_doubt: Doubt | None

    def __init__(  # noqa: PLR0913 - by name only, and nearly all may be left out
        self,
        *,
        client_id: str,
        recipient: str,
        sender: str,
        text: str = "",
        kind: Kind | str = Kind.SMS,
        content: Content | None = None,
        lane: Lane | str = Lane.BULK,
        route: str = "",
        campaign: str = "",
        send_at: datetime | str | None = None,
        valid_until: datetime | str | None = None,
        viber_valid_until: datetime | str | None = None,
        in_doubt: Doubt | str | None = None,
    ) -> None:
        check_name("client_id", client_id, 1, 128)
        check_name("sender", sender, 1, 15)
        check_name("route", route, 0, 64)
        check_name("campaign", campaign, 0, 128)
        keep = object.__setattr__
        keep(self, "client_id", client_id)
        keep(self, "recipient", phone_number(recipient))
        keep(self, "sender", sender)
        plain = content is None and kind == "sms"  # its name: a member is long looked for
        keep(self, "content", Sms(text) if plain else _content(content, kind, text))
        keep(self, "lane", lane if isinstance(lane, Lane) else member(Lane, "lane", lane))
        keep(self, "route", route)
        keep(self, "campaign", campaign)
        # Nearly every message has none of these, and is made without asking four functions about nothing.
        keep(self, "send_at", None if send_at is None else instant("send_at", send_at))
        keep(self, "valid_until", None if valid_until is None else instant("valid_until", valid_until))
        keep(
            self,
            "viber_valid_until",
            None if viber_valid_until is None else instant("viber_valid_until", viber_valid_until),
        )
        keep(self, "in_doubt", None if in_doubt is None else _policy(in_doubt))
        if self.valid_until or self.viber_valid_until:
            _check_order(self)

    @property
    def kind(self) -> Kind:
        """The kind of its content."""
        return self.content.kind

    @property
    def text(self) -> str:
        """The text of its content; empty where that has none."""
        text: str = getattr(self.content, "text", "")
        return text

    def __repr__(self) -> str:
        return (
            f"Message(client_id={self.client_id!r}, recipient={mask(self.recipient)!r}, "
            f"sender={self.sender!r}, content={self.content!r}, "
            f"lane={self.lane.value!r}, route={self.route!r})"
        )

    def routed(self, route: str) -> "Message":
        """The same message, on this route. What was checked is not checked again."""
        check_name("route", route, 1, 64)
        return self._with("route", route)

    def saying(self, content: Content) -> "Message":
        """The same message, with another content of its kind."""
        return self._with("content", content)

    def _with(self, name: str, value: object) -> "Message":
        other: Message = object.__new__(Message)
        for each in _NAMES:
            object.__setattr__(other, each, getattr(self, each))
        object.__setattr__(other, name, value)
        return other

    def as_dict(self) -> dict[str, str]:
        """The message as plain JSON values, leaving out defaults; `from_dict` reads it back."""
        whole = {
            "client_id": self.client_id,
            "recipient": self.recipient,
            "sender": self.sender,
            **self.content.as_dict(),
        }
        if self.kind is not Kind.SMS:
            whole["kind"] = self.kind.value
        if self.lane is not Lane.BULK:
            whole["lane"] = self.lane.value
        if self.route:
            whole["route"] = self.route
        if self.campaign:
            whole["campaign"] = self.campaign
        for name in _INSTANTS:
            if moment := getattr(self, name):
                whole[name] = moment.isoformat()
        if self.in_doubt:
            whole["in_doubt"] = self.in_doubt.value
        return whole

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Message":
        """A message from plain values (a CSV row, a JSON object, a task argument): its own fields, and beside
        them those of its content.

        Raises MessageError for an unknown, missing or unfit field.
        """
        if type(values) is not dict and not isinstance(values, Mapping):  # the second takes long to tell
            raise MessageError("message", type(values).__name__, "must be an object of fields")
        if _judge_names(tuple(values)):  # nearly every message there is
            return cls(**values)
        own = {name: value for name, value in values.items() if name not in _NOT_OWN}
        about = {name: value for name, value in values.items() if name in _CONTENT_SET}
        return cls(**own, content=content_of(values.get("kind", Kind.SMS), about))


_REQUIRED = ("client_id", "recipient", "sender")
_NAMES = tuple(field.name for field in fields(Message))
_CONTENTS = tuple(contents.KINDS.values())
_INSTANTS = ("send_at", "valid_until", "viber_valid_until")
_CONTENT_SET = frozenset(contents.FIELDS)
_NOT_OWN = _CONTENT_SET | {"kind"}
FIELDS = (
    *_REQUIRED,
    "kind",
    *contents.FIELDS,
    *(field.name for field in fields(Message) if field.name not in {*_REQUIRED, "content"}),
)
"""The names that `from_dict` knows."""
_FIELD_SET = frozenset(FIELDS)
_PLAIN = _FIELD_SET - _CONTENT_SET | {"text"}


@lru_cache(1000)  # names come from strangers
def _judge_names(names: tuple[str, ...]) -> bool:
    """Whether fields of these names make a plain text, and not another content. Raises MessageError for an
    unknown or missing one. All lines of a file have the same names: they are judged once."""
    if strange := set(names) - _FIELD_SET:
        # A file without its header row brings numbers and texts as names: they are not repeated.
        first = min(map(str, strange))
        name = first if first.isidentifier() and len(first) <= 40 else "…"
        raise MessageError(name, "…", f"is no field of a message; the fields are {', '.join(FIELDS)}")
    for field in _REQUIRED:
        if field not in names:
            raise MessageError(field, None, "is missing")
    return "text" in names and set(names) <= _PLAIN


def differences(one: Message, other: Message) -> tuple[str, ...]:
    """The fields in which what two messages say differs: what the recipient would notice. The same client id
    with another content is a conflict, not a repeat. Line ends are none: a provider may know but one, and a
    message is kept as it is sent."""
    if (one.recipient, one.sender, one.content) == (other.recipient, other.sender, other.content):
        return ()
    mine, theirs = _said(one.content), _said(other.content)
    differing = [
        name for name in ("kind", "recipient", "sender") if getattr(one, name) != getattr(other, name)
    ]
    return (*differing, *(name for name in contents.FIELDS if mine.get(name) != theirs.get(name)))


def _said(content: Content) -> dict[str, str]:
    return {name: with_line_feeds(value) for name, value in content.as_dict().items()}


def _content(content: Content | None, kind: object, text: str) -> Content:
    if content is None:
        return content_of(kind, {"text": text})
    if not isinstance(content, _CONTENTS):
        raise MessageError("content", type(content).__name__, "must be a content, such as Sms or Viber")
    if text:
        raise MessageError("text", "…", "is given twice: it is a part of the content")
    if kind not in (Kind.SMS, content.kind):
        raise MessageError("kind", kind, f"contradicts the content, which is a {content.kind}")
    return content


def _check_order(message: Message) -> None:
    """Instants that contradict each other."""
    late, viber = message.valid_until, message.viber_valid_until
    if message.send_at and late and late <= message.send_at:
        raise MessageError("valid_until", late.isoformat(), "must be later than send_at")
    if not viber:
        return
    if message.kind not in (Kind.VIBER, Kind.VIBER_SMS):
        raise MessageError("viber_valid_until", viber.isoformat(), f"means nothing for a {message.kind}")
    if message.send_at and viber <= message.send_at:
        raise MessageError("viber_valid_until", viber.isoformat(), "must be later than send_at")


def _policy(value: object) -> Doubt | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in POLICIES:
        raise none_of(POLICIES, "in_doubt", value)
    return Doubt(value)
