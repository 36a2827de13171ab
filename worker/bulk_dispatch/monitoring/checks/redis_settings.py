"""Checks of a Redis, the intake's or the broker's: does it drop what it holds, and how full is it."""

from collections.abc import Iterator

from bulk_dispatch.intake import ROOM, TIGHT
from bulk_dispatch.monitoring.checks.result import CheckResult
from bulk_dispatch.redis_server import RedisServer

DISPATCHER = f"from {ROOM:.0%} on the Dispatcher is refused"

SEND_TASK = "when it is full, send_task is refused"


def check_eviction(server: RedisServer) -> Iterator[CheckResult]:
    """A full Redis refuses what is new, and does not drop what it has."""
    policy = server.maxmemory_policy
    if policy is None:
        yield CheckResult.unseen(
            "eviction", "Redis refuses both CONFIG and INFO; its maxmemory-policy must be noeviction"
        )
    elif policy != "noeviction":
        yield CheckResult("eviction", "bad", f"maxmemory-policy is {policy}: full memory would drop messages")
    else:
        yield CheckResult("eviction", "ok", "maxmemory-policy is noeviction")


def check_persistence(server: RedisServer) -> Iterator[CheckResult]:
    """A Redis that restarts still has what it was given."""
    if server.appendonly is None:
        yield CheckResult.unseen(
            "persistence", "Redis refuses both CONFIG and INFO; its appendonly must be yes"
        )
    elif server.appendonly != "yes":
        yield CheckResult("persistence", "bad", "appendonly is off: a restart of Redis would drop messages")
    else:
        yield CheckResult("persistence", "ok", "appendonly is on")


def check_memory(server: RedisServer, refused: str) -> Iterator[CheckResult]:
    """There is room, told long before it ends: a full Redis takes nothing but what empties it. `refused` says
    whose messages it refuses."""
    full = server.fullness
    if full is None:
        yield CheckResult.unseen("memory", "Redis refuses INFO, so nobody sees it fill up before it is full")
    elif full > TIGHT:
        yield CheckResult(
            "memory",
            "bad" if full > ROOM else "warning",
            f"{full:.0%} of Redis's maxmemory are used; {refused}: see who fills it, and whether it drains",
        )
