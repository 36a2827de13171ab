"""Items: messages as they stand in the book, read for sending."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bulk_dispatch.domain.content import Content, content_of
from bulk_dispatch.domain.package import Limits, OutboundMessage

COLUMNS = """
    m.id, m.reference, m.kind, m.recipient, m.sender, m.text, m.content, m.attempts, m.valid_until,
    m.viber_valid_until, m.campaign, m.segments_estimated, CASE WHEN m.send_at > now()
        THEN m.send_at END AS send_at,
    CASE WHEN m.valid_until IS NOT NULL OR m.viber_valid_until IS NOT NULL
         THEN greatest(now(), m.send_at) END AS leaves_at
"""
"""What `item` reads, of messages m, in this order; more may follow."""


def item(row: Sequence[Any], limits: Limits, skew: timedelta = timedelta(0)) -> OutboundMessage:
    """A row of COLUMNS as an item, its validity within what the provider takes, and its times by the
    provider's clock if that is known to be ahead of ours by `skew`."""
    # By place: by name it takes twice as long, and every message comes by here.
    (id_, reference, kind, recipient, sender, words, beside, attempts, until, viber_until, campaign,
     segments_estimated, send_at, leaves_at, *_) = row  # fmt: skip
    return OutboundMessage(
        id_,
        reference,
        recipient,
        sender,
        content(kind, words, beside),
        attempts,
        leaves_at,
        send_at and send_at + max(skew, timedelta(0)),  # never before its time, by whichever clock
        until and _within(until, leaves_at, limits, skew),
        viber_until and _within(viber_until, leaves_at, limits, skew),
        campaign or "",
        segments_estimated,
    )


def content(kind: str, words: str, beside: Mapping[str, str] | None) -> Content:
    """The content of a row by its kind, its text, and what it has beside that."""
    about = {**beside} if beside else {}
    if words:
        about["text"] = words
    return content_of(kind, about)


def _within(until: datetime, leaves_at: datetime, limits: Limits, skew: timedelta) -> datetime:
    """They refuse what is too short or too long: then as short, or as long, as they take."""
    return min(max(until, leaves_at + limits.shortest), leaves_at + limits.longest) + skew
