"""Sends text messages once each.

    from bulk_dispatch import Dispatcher, Message

    dispatcher = Dispatcher.from_env()
    dispatcher.enqueue(
        Message(client_id="order-18", recipient="+380931110001", sender="ShopNews", text="Ready!")
    )

Importing this is quick: neither Celery nor SQLAlchemy nor Redis is loaded before it is needed.
"""

from bulk_dispatch.client import Dispatcher, EnqueueError, FsyncUnconfirmedError
from bulk_dispatch.domain.content import Flash, Kind, Ping, Sms, VCard, Viber, ViberSms, Voice, WapPush
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import ClientIdConflict, Lane, Message
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.version import __version__

__all__ = [
    "ClientIdConflict",
    "Dispatcher",
    "DoubtPolicy",
    "EnqueueError",
    "Flash",
    "FsyncUnconfirmedError",
    "Kind",
    "Lane",
    "Message",
    "MessageError",
    "Ping",
    "Sms",
    "VCard",
    "Viber",
    "ViberSms",
    "Voice",
    "WapPush",
    "__version__",
]
