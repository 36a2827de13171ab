"""Messages with sensible defaults."""

from collections.abc import Iterator
from typing import Any

from bulk_dispatch.domain.message import Message


def message(number: int = 1, **changes: Any) -> Message:
    """A message that differs from others by its number alone."""
    values: dict[str, Any] = {
        "client_id": f"client-{number}",
        "recipient": f"+38093{number:07d}",
        "sender": "Shop",
        "text": f"Order {number} is ready",
        "route": "alpha",
    }
    return Message(**{**values, **changes})


def messages(count: int, **changes: Any) -> list[Message]:
    """Messages 1 to count."""
    return list(_each(count, changes))


def _each(count: int, changes: dict[str, Any]) -> Iterator[Message]:
    return (message(number, **changes) for number in range(1, count + 1))
