"""`manage.py send_notices`: hand over what a crash left out."""

from django.core.management.base import BaseCommand

from shop.messages import dispatcher, notice
from shop.models import Order


class Command(BaseCommand):
    """Enqueue the message of every order again.

    A process that ends between the commit and enqueueing leaves an order without its message. Messages that
    were enqueued before are counted as duplicates and not sent again.
    """

    help = "Hands over the message of every order. Safe to run at any time: nothing is sent twice."

    def handle(self, *_: object, **__: object) -> None:
        """Walk through the orders in constant memory. A real shop takes those of the last days."""
        count = dispatcher().enqueue_many(notice(order) for order in Order.objects.iterator())
        self.stdout.write(f"{count} messages handed over")
