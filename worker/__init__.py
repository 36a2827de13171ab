"""Sends text messages once each.

    from worker import Dispatcher, Message

    dispatcher = Dispatcher.from_env()
    dispatcher.enqueue(
        Message(client_id="order-18", recipient="+380931110001", sender="ShopNews", text="Ready!")
    )

Importing this is quick: neither Celery nor SQLAlchemy nor Redis is loaded before it is needed.
"""

from worker.dispatcher import Dispatcher, EnqueueError
from worker.sms.content import Flash, Kind, Ping, Sms, VCard, Viber, ViberSms, Voice, WapPush
from worker.sms.doubt import Doubt
from worker.sms.fields import MessageError
from worker.sms.message import ClientIdConflict, Lane, Message
from worker.version import __version__

__all__ = [
    "ClientIdConflict",
    "Dispatcher",
    "Doubt",
    "EnqueueError",
    "Flash",
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
