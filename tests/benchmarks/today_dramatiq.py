"""A task a message, with dramatiq: python -m tests.benchmarks.today_dramatiq FILE puts one for each row."""

import os
import sys
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker  # has no types

from tests.benchmarks import today

dramatiq.set_broker(RedisBroker(url=os.environ["TODAY_REDIS"]))  # type: ignore[no-untyped-call]
ASK_AFTER = round(today.ASK_AFTER * 1000)  # milliseconds


@dramatiq.actor
def send(client_id: str, recipient: str, sender: str, words: str) -> None:
    """Send one message, and ask for it later."""
    row = today.send(client_id, recipient, sender, words)
    if row is not None:
        check.send_with_options(args=(row,), delay=ASK_AFTER)


@dramatiq.actor
def check(row: int) -> None:
    """Ask for one message; again, if it has no end yet."""
    if not today.check(row):
        check.send_with_options(args=(row,), delay=ASK_AFTER)


if __name__ == "__main__":
    today.produce(Path(sys.argv[1]), send.send)
