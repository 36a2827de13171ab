"""The messages of the shop, and the one Dispatcher of this process."""

from functools import cache

from bulk_dispatch import Dispatcher, Message
from shop.models import Order


@cache
def dispatcher() -> Dispatcher:
    """Opened when first needed, so after a server such as gunicorn has forked. Shared between threads."""
    return Dispatcher.from_env()


def notice(order: Order) -> Message:
    """The message about an order. Its client id is the order's: enqueued again, it is not sent again."""
    return Message(
        client_id=f"order-{order.number}",
        recipient=order.phone,
        sender="ShopNews",
        text=f"Thank you for order {order.number}",
        producer="django-shop",
    )
