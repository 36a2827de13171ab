"""What AlphaSMS takes, whichever of its APIs it comes by.

Source: AlphaSMS documentation.
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bulk_dispatch.domain.content import Viber, WapPush
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.segments import fits, segments
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.senders import LATIN, Senders

SENDERS = Senders(LATIN | {".", "-", "_"}, least=3, most_of_number=11)  # their panel, and their page on HTTP
ZONE = "Europe/Kyiv"  # of dates and times that carry none [assumption of the sheet]
VIBER_SENDER_MOST = 11  # characters; which ones is unpublished
SEGMENTS_MOST = 10  # a guess: they only say that too long a text is refused with 204
URL_MOST = 100  # characters of a WAP-push link
PICTURES = (".jpg", ".jpeg", ".png", ".gif")
# A recipient always fits: they take 21 characters, and Message allows 16.


def check(message: Message) -> None:
    """Raise MessageError for what no API of theirs takes."""
    content = message.content
    if isinstance(content, Viber):
        _check_viber_sender(message.sender)
        _check_picture(content)
        return
    SENDERS.check("sender", message.sender)
    check_segments("text", getattr(content, "text", ""))
    if isinstance(content, WapPush) and len(content.url) > URL_MOST:
        raise MessageError("url", content.url, f"must be at most {URL_MOST} characters")


def check_sender(field: str, sender: str) -> None:
    """Raise MessageError for what is no sender of an SMS."""
    SENDERS.check(field, sender)


def check_lasts(
    field: str, until: datetime | None, send_at: datetime | None, bounds: tuple[timedelta, timedelta]
) -> None:
    """Raise MessageError for an end of validity that they do not take of what leaves at that time.

    What leaves at once may wait here first, for as long as it is valid: it is told within the bounds when it
    leaves (`Limits`).
    """
    if not (until and send_at):
        return
    shortest, longest = bounds
    if not shortest <= until - send_at <= longest:
        problem = f"must lie from {_in_words(shortest)} to {_in_words(longest)} after send_at"
        raise MessageError(field, until.isoformat(), problem)


def _in_words(lasting: timedelta) -> str:
    return f"{lasting.days} days" if lasting.days > 1 else f"{lasting.total_seconds():.0f} s"


def _check_viber_sender(sender: str) -> None:
    if len(sender) > VIBER_SENDER_MOST:
        raise MessageError("sender", sender, f"must be at most {VIBER_SENDER_MOST} characters")


def check_segments(field: str, text: str) -> None:
    """Raise MessageError for too long a text of an SMS."""
    if not fits(text, SEGMENTS_MOST):
        count = segments(text)
        raise MessageError(field, text, f"must be at most {SEGMENTS_MOST} segments, not {count}")


def _check_picture(content: Viber) -> None:
    if content.image and not _ends_in_a_picture(content.image):
        shown = f"<{len(content.image)} characters>"
        raise MessageError("image", shown, f"must be an address that ends in {', '.join(PICTURES)}")
    if content.button and not content.image:
        raise MessageError("image", "", "must be there: AlphaSMS puts a button under a picture only")


def _ends_in_a_picture(address: str) -> bool:
    """The address does, and its path: a host may be called picture.png, and a query end so."""
    ends = (address.lower(), urlsplit(address).path.lower())
    return all(end.endswith(PICTURES) for end in ends)
