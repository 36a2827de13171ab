"""Message: one content to one recipient, and when and how it is to leave."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from bulk_dispatch.domain import content as contents
from bulk_dispatch.domain.content import Content, Kind, Sms, content_of, with_line_feeds
from bulk_dispatch.domain.doubt_policy import POLICIES, DoubtPolicy
from bulk_dispatch.domain.numbers import phone_number, region_of
from bulk_dispatch.domain.validation import (
    BEGINNINGS,
    MessageError,
    check_meant,
    check_name,
    check_no_word_of_software,
    check_sender,
    client_id_of,
    instant,
    mask,
    member,
    none_of,
    truth,
)


class Lane(StrEnum):
    """How soon it must leave. The lanes never wait for one another."""

    URGENT = "urgent"  # one-time codes: own queues, workers and claims
    BULK = "bulk"  # campaigns


PRODUCER_LIMIT = 64


class ClientIdConflict(MessageError):
    """The client id was used before by this producer, with other content. Nothing is sent; `differences`
    names the fields."""

    def __init__(self, client_id: str, differences: tuple[str, ...]) -> None:
        self.differences = differences
        super().__init__(
            "client_id", client_id, f"was used before with another {', '.join(differences)}; nothing is sent"
        )


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Message:
    """One content to one recipient.

    `client_id` is the caller's own id: unique for ever within its `producer`, so that giving us the same
    message twice sends it once. `producer` names the application, where several number their messages each
    for itself. `recipient` is an international number, however it is written, and kept as E.164; `of` reads
    national ones too. What they get is `content`, a value object such as Viber; a plain text may be given as
    `text`, of `kind` sms, flash or voice. An empty `route` means the default one, or the only one there is.
    Instants are aware: `send_at` is when it leaves (None: now), `valid_until` when it is too late for it to
    arrive, `viber_valid_until` when Viber has had its chance. `in_doubt` (hold, resend or fail) is what
    becomes of it where nobody can know whether they have it; empty means as its route says. What is plainly
    not meant, such as a placeholder that was not filled in, is refused unless the message is `literal`.
    Raises MessageError, which names the field.
    """

    client_id: str
    recipient: str
    sender: str
    content: Content
    lane: Lane
    route: str
    campaign: str
    producer: str
    send_at: datetime | None
    valid_until: datetime | None
    viber_valid_until: datetime | None
    in_doubt: DoubtPolicy | None
    literal: bool

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
        producer: str = "",
        send_at: datetime | str | None = None,
        valid_until: datetime | str | None = None,
        viber_valid_until: datetime | str | None = None,
        in_doubt: DoubtPolicy | str | None = None,
        literal: bool | str = False,
    ) -> None:
        client_id = client_id_of(client_id)
        check_name("client_id", client_id, 1, 128)
        if producer:
            producer = client_id_of(producer) or producer  # nothing but blanks is refused below
        try:
            _judge_shared(sender, route, campaign, producer)
        except TypeError:  # of a kind that cannot be looked up
            _judge_shared.__wrapped__(sender, route, campaign, producer)
        plain = content is None and kind == "sms"  # its name: a member is long looked for
        _CLIENT_ID(self, client_id)
        _RECIPIENT(self, phone_number(recipient))
        _SENDER(self, sender)
        _CONTENT(self, Sms(text) if plain else _content(content, kind, text))
        _LANE(self, lane if isinstance(lane, Lane) else member(Lane, "lane", lane))
        _ROUTE(self, route)
        _CAMPAIGN(self, campaign)
        _PRODUCER(self, producer)
        # Nearly every message has none of these, and is made without asking four functions about nothing.
        _SEND_AT(self, None if send_at is None else instant("send_at", send_at))
        _VALID_UNTIL(self, None if valid_until is None else instant("valid_until", valid_until))
        _VIBER_VALID_UNTIL(
            self, None if viber_valid_until is None else instant("viber_valid_until", viber_valid_until)
        )
        _IN_DOUBT(self, None if in_doubt is None else _policy(in_doubt))
        _LITERAL(self, literal is not False and truth("literal", literal))
        if not self.literal:
            _check_meant(self)
        if valid_until is not None or viber_valid_until is not None:
            _check_order(self, valid_until, viber_valid_until)

    @classmethod
    def of(cls, *, recipient: str, region: str = "", **fields: Any) -> "Message":
        """The message of these fields, whose recipient may be written as people of `region` (ISO 3166: UA)
        write numbers of their own country: 093 111 00 01. Raises MessageError."""
        return cls(recipient=phone_number(recipient, region=region_of(region)), **fields)

    @property
    def kind(self) -> Kind:
        """The kind of its content."""
        return self.content.kind

    @property
    def text(self) -> str:
        """The text of its content; empty where that has none."""
        text: str = getattr(self.content, "text", "")
        return text

    @property
    def said(self) -> "Said":
        """What it says, and to whom."""
        return Said(self.kind, self.recipient, self.sender, self.content.as_dict())

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
        if self.producer:
            whole["producer"] = self.producer
        for name in _INSTANTS:
            if moment := getattr(self, name):
                whole[name] = moment.isoformat()
        if self.in_doubt:
            whole["in_doubt"] = self.in_doubt.value
        if self.literal:
            whole["literal"] = "true"
        return whole

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], region: str = "") -> "Message":
        """A message from plain values (a CSV row, a JSON object, a task argument): its own fields, and beside
        them those of its content. Numbers without country are of `region`, as in `of`.

        Raises MessageError for an unknown, missing or unfit field.
        """
        if type(values) is not dict and not isinstance(values, Mapping):  # the second takes long to tell
            raise MessageError("message", type(values).__name__, "must be an object of fields")
        if region and "recipient" in values:
            values = {**values, "recipient": phone_number(values["recipient"], region=region_of(region))}
        if _judge_names(tuple(values)):  # nearly every message there is
            return cls(**values)
        own = {name: value for name, value in values.items() if name not in _NOT_OWN}
        about = {name: value for name, value in values.items() if name in _CONTENT_SET}
        return cls(**own, content=content_of(values.get("kind", Kind.SMS), about))


_REQUIRED = ("client_id", "recipient", "sender")
_NAMES = tuple(field.name for field in fields(Message))
_SETTERS = tuple(getattr(Message, name).__set__ for name in _NAMES)
"""Of the slots themselves: object.__setattr__ looks for the slot each time, and takes twice as long."""
(
    _CLIENT_ID, _RECIPIENT, _SENDER, _CONTENT, _LANE, _ROUTE, _CAMPAIGN, _PRODUCER,
    _SEND_AT, _VALID_UNTIL, _VIBER_VALID_UNTIL, _IN_DOUBT, _LITERAL,
) = _SETTERS  # fmt: skip
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


@lru_cache(1000)
def _judge_shared(sender: str, route: str, campaign: str, producer: str) -> None:
    """What the messages of a campaign have in common is judged once, as long as it is good."""
    check_sender("sender", sender)
    check_name("route", route, 0, 64)
    check_name("campaign", campaign, 0, 128)
    check_name("producer", producer, 0, PRODUCER_LIMIT)
    if campaign:
        check_meant("campaign", campaign)


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


PAST = timedelta(days=1)
FUTURE = timedelta(days=366)


def check_send_at(send_at: datetime, now: datetime) -> None:
    """Raise MessageError for a time that is plainly not meant. At the door alone: what waits long within is
    late for no fault of its own."""
    if send_at < now - PAST:
        raise MessageError("send_at", send_at.isoformat(), "must not lie more than a day in the past")
    if send_at > now + FUTURE:
        raise MessageError("send_at", send_at.isoformat(), "must lie within a year from now")


class Said(NamedTuple):
    """What a message says, and to whom, as plain values: what the recipient would notice.

    Made of a stored row as well as of a message, and checks nothing: what was entered in another year was
    checked by the rules of that year.
    """

    kind: str
    recipient: str
    sender: str
    words: Mapping[str, str]  # the fields of its content that are there

    def __repr__(self) -> str:
        return f"Said(kind={str(self.kind)!r})"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What enqueueing messages would come to, by their places: those that the ledger has as they are, those
    that would correct what came to nothing, those whose id is that of another message. The rest is new."""

    known: frozenset[int] = frozenset()
    corrections: frozenset[int] = frozenset()
    conflicts: frozenset[int] = frozenset()


def differences(one: Said, other: Said) -> tuple[str, ...]:
    """The fields in which two messages differ. The same client id with another content is a conflict, not a
    repeat. Line ends are none: a provider may know but one, and a message is kept as it is sent."""
    if one == other:
        return ()
    own = (name for name in ("kind", "recipient", "sender") if getattr(one, name) != getattr(other, name))
    mine, theirs = _lined(one.words), _lined(other.words)
    return (*own, *(name for name in contents.FIELDS if mine.get(name) != theirs.get(name)))


def _lined(words: Mapping[str, str]) -> dict[str, str]:
    return {name: with_line_feeds(value) for name, value in words.items()}


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


def _check_meant(message: Message) -> None:
    """What software wrote in place of what people meant, in whichever field."""
    client_id = message.client_id
    if client_id[0] in BEGINNINGS:
        check_no_word_of_software("client_id", client_id)
    if "{" in client_id:
        check_meant("client_id", client_id)
    if type(message.content) is Sms:  # nearly every message there is
        check_meant("text", message.content.text)
        return
    for name, value in message.content.as_dict().items():
        check_meant(name, value)


def _check_order(message: Message, valid_until: object, viber_valid_until: object) -> None:
    """Instants that contradict each other; the two ends are shown as they were given."""
    late, viber = message.valid_until, message.viber_valid_until
    if message.send_at and late and late <= message.send_at:
        raise MessageError("valid_until", str(valid_until), "must be later than send_at")
    if not viber:
        return
    if message.kind not in (Kind.VIBER, Kind.VIBER_SMS):
        raise MessageError("viber_valid_until", str(viber_valid_until), f"means nothing for a {message.kind}")
    if message.send_at and viber <= message.send_at:
        raise MessageError("viber_valid_until", str(viber_valid_until), "must be later than send_at")


def _policy(value: object) -> DoubtPolicy | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in POLICIES:
        raise none_of(POLICIES, "in_doubt", value)
    return DoubtPolicy(value)
