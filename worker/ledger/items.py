"""Items: messages as they stand in the book, read for sending."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from worker.sms.content import Content, content_of
from worker.sms.package import Item, Limits

COLUMNS = """
    m.id, m.reference, m.kind, m.recipient, m.sender, m.text, m.extra, m.attempts, m.valid_until,
    m.viber_valid_until, m.campaign, greatest(now(), m.send_at) AS leaves_at,
    CASE WHEN m.send_at > now() THEN m.send_at END AS send_at
"""
"""What `item` reads, of messages m."""


def item(row: Row[Any], limits: Limits, skew: timedelta = timedelta(0)) -> Item:
    """A row of COLUMNS as an item, its validity within what the provider takes, and by the provider's clock
    if that is known to be ahead of ours by `skew`."""
    return Item(
        row.id,
        row.reference,
        row.recipient,
        row.sender,
        content(row),
        row.attempts,
        row.leaves_at,
        row.send_at,
        _within(row.valid_until, row.leaves_at, limits, skew),
        _within(row.viber_valid_until, row.leaves_at, limits, skew),
        row.campaign or "",
    )


def content(row: Row[Any]) -> Content:
    """The content of a row with kind, text and extra."""
    about = dict(row.extra or ())
    if row.text:
        about["text"] = row.text
    return content_of(row.kind, about)


def _within(until: datetime | None, leaves_at: datetime, limits: Limits, skew: timedelta) -> datetime | None:
    """They refuse what is too short or too long: then as short, or as long, as they take."""
    if until is None:
        return None
    return min(max(until, leaves_at + limits.shortest), leaves_at + limits.longest) + skew
