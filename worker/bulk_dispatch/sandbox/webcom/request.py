"""What a readable document says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bulk_dispatch.sandbox.webcom.content import Content


class Abonent(NamedTuple):
    """One recipient, not yet judged. Instants are seconds since 1970."""

    phone: str
    number_sms: str | None
    client_id: int | None
    begin_at: float | None
    sms_until: float | None
    viber_until: float | None


class Message(NamedTuple):
    """One text and who gets it."""

    content: Content
    abonents: Sequence[Abonent]


@dataclass(frozen=True)
class Request:
    """A readable document of somebody we know. What does not belong to its command is empty."""

    command: str
    messages: Sequence[Message] = ()
    ids: Sequence[str] = ()  # id_sms: states asked, scheduled messages deleted
    page: int = 1
    stopped: Sequence[str] = ()  # phones: on the stop list from now on
    unstopped: Sequence[str] = ()
    url: str | None = None  # of pushes; None: asked for
    digest: bytes = b""  # of a document to send, byte by byte

    @property
    def recipients(self) -> set[str]:
        """Digits of whom it sends to."""
        return {one.phone for message in self.messages for one in message.abonents}
