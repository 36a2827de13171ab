"""Waiting for something only the operating system knows, by asking again."""

import time
from collections.abc import Callable
from datetime import timedelta


def wait_until(happened: Callable[[], bool], patience: timedelta) -> bool:
    """Asks until `happened` says yes (True) or `patience` is over (False); asks at least once."""
    deadline = time.monotonic() + patience.total_seconds()
    pause = 0.001
    while not happened():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)  # milliseconds for what is quick, gentle on a busy machine after
    return True
