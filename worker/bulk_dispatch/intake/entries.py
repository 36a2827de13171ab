"""What the streams hold: entries of messages, and dead letters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson  # to write only: where a number is beyond 64 bits it reads another

from bulk_dispatch.domain.message import Lane, Message


@dataclass(frozen=True, slots=True)
class Entry:
    """What one XADD brought: raw messages, or the reason why it cannot be read."""

    id: str
    lane: Lane
    counted: int  # what it added to the count of waiting messages
    messages: Sequence[object] = field(default=(), repr=False)
    raw: str = field(default="", repr=False)
    unreadable: str = ""
    octets: int = 0  # how large it is


@dataclass(frozen=True, slots=True)
class Parcel:
    """Messages of one lane as they are added: one entry."""

    lane: Lane
    count: int
    payload: bytes = field(repr=False)

    @classmethod
    def of(cls, lane: Lane, messages: Sequence[Message]) -> "Parcel":
        """These messages, written down."""
        return cls(lane, len(messages), orjson.dumps([message.as_dict() for message in messages]))

    @classmethod
    def of_plain(cls, lane: Lane, values: Sequence[object]) -> "Parcel":
        """Messages as plain values, as they came: the reader of the stream checks them."""
        return cls(lane, len(values), json.dumps(values).encode())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or a whole entry, that could not be entered into the ledger."""

    lane: Lane
    reason: str
    content: str = field(repr=False)

    @classmethod
    def about(cls, lane: Lane, reason: str, content: object) -> "DeadLetter":
        """A letter about any value, kept as JSON."""
        try:
            kept = json.dumps(content, ensure_ascii=True, default=repr)
        except RecursionError:  # it could just be read, but not be written
            kept = json.dumps("nested too deep to be kept")
        return cls(lane, reason, kept)

    @property
    def parts(self) -> list[str]:
        """As it is kept: lane, reason, content."""
        return [self.lane.value, self.reason, self.content]


def instant_of(entry_id: str) -> datetime:
    """When an entry was written: its id begins with that, in milliseconds."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)


def read_entry(lane: Lane, entry_id: str, flat: Sequence[str], octets: int) -> Entry:
    """An entry of a stream, whose fields and values are given by turns."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    raw, counted = fields.get("m", ""), fields.get("n", "")
    counts = counted.isdecimal() and len(counted) < 10  # not one of ours otherwise
    entry = Entry(entry_id, lane, int(counted) if counts else 0, octets=octets)
    try:
        messages = json.loads(raw)
    except (ValueError, RecursionError):
        return _unreadable(entry, fields, "the entry is not JSON")
    if not isinstance(messages, list):
        return _unreadable(entry, fields, "the entry is not a JSON array of messages")
    return replace(entry, messages=messages)


def _unreadable(entry: Entry, fields: Mapping[str, str], reason: str) -> Entry:
    return replace(entry, raw=json.dumps(fields), unreadable=reason)
