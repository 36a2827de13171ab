"""Garbage: how often this process looks for what only a search can free."""

import gc

NEW = 20_000  # objects made and not freed before the next look at the young ones; Python itself: 700
OLDER = 5  # such looks before one at the older ones; Python itself: 10


def tune_gc() -> None:
    """For a process of ours whose work is done by the thousand.

    A step makes tens of thousands of records that all live until it ends, and none of ours refers back to
    itself (httpx's do; see `transport`). Looking through them again and again took a seventh of the time we
    have. What is there at the start stays for ever, and is not looked at any more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW, OLDER, OLDER)
