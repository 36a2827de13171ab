"""Sends text messages once each.

    from worker import Dispatcher, Message

    dispatcher = Dispatcher.from_env()
    dispatcher.enqueue(
        Message(client_id="order-18", recipient="+380931110001", sender="ShopNews", text="Ready!")
    )

Importing this is quick: neither Celery nor SQLAlchemy nor Redis is loaded before it is needed.
"""

from worker.dispatcher import Dispatcher, EnqueueError
from worker.sms.content import Kind
from worker.sms.doubt import Doubt
from worker.sms.fields import MessageError
from worker.sms.message import ClientIdConflict, Lane, Message
from worker.version import __version__

__all__ = [
    "ClientIdConflict",
    "Dispatcher",
    "Doubt",
    "EnqueueError",
    "Kind",
    "Lane",
    "Message",
    "MessageError",
    "__version__",
]
