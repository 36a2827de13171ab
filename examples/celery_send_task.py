"""A Celery application that hands messages over without importing this package.

    $ python examples/celery_send_task.py

It needs Celery and the address of the broker; this package need not be installed. A task takes up to 10,000
messages, so send a list, not a task for each message. This way is as safe as Celery on Redis is: where a
message must not be lost between the broker and the worker, use a Dispatcher.
"""

import os

from celery import Celery

app = Celery(broker=os.environ["WORKER_BROKER_URL"])


def notice(order: int, phone: str) -> dict[str, str]:
    """A message as a task carries it: flat, in values that JSON has."""
    return {
        "client_id": f"order-{order}",
        "producer": "celery-shop",
        "recipient": phone,
        "sender": "ShopNews",
        "text": f"Order {order} is ready",
    }


def main() -> None:
    """Hand two messages over in one task."""
    notices = [notice(41, "+380931110041"), notice(42, "+380931110042")]
    app.send_task("bulk_dispatch.enqueue", args=[notices])
    print(f"{len(notices)} messages in one task")


if __name__ == "__main__":
    main()
