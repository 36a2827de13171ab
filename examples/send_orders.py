"""A script that sends a file of recipients, and waits for the end of each message.

    $ python examples/send_orders.py examples/orders.csv

It may be stopped and started again at any time: the client ids are made of the order numbers, so nobody gets
a message twice. Without a script, `worker send FILE` hands a file over.
"""

import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bulk_dispatch import Dispatcher, Message

PATIENCE = 120  # seconds; a message to a phone that is off may take days


def messages(path: Path) -> Iterator[Message]:
    """A message for each row. They are made one by one, so the file may be of any size."""
    with path.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            yield Message(
                client_id=f"order-{row['order']}",
                recipient=row["phone"],
                sender="ShopNews",
                text=f"Order {row['order']} is ready",
                campaign="orders-ready",
                producer="orders-script",
            )


def unfinished(dispatcher: Dispatcher, path: Path) -> tuple[int, Counter[str]]:
    """How many messages have no end yet, and how many are in each status; `waiting` are those still in Redis.

    It asks about one message at a time: good for some hundreds. For more, `worker books` has the counts.
    """
    found = [dispatcher.status(message.client_id, message.producer) for message in messages(path)]
    count = sum(one is None or one.finalized_at is None for one in found)
    return count, Counter(one.status.value if one else "waiting" for one in found)


def main() -> None:
    """Hand the file over, then report until all messages have their end."""
    path = Path(sys.argv[1])
    with closing(Dispatcher.from_env()) as dispatcher:
        print(f"{dispatcher.enqueue_many(messages(path))} messages handed over")
        deadline = time.monotonic() + PATIENCE
        while True:
            count, by_status = unfinished(dispatcher, path)
            print(dict(by_status))
            if not count or time.monotonic() > deadline:
                break
            time.sleep(1)


if __name__ == "__main__":
    main()
