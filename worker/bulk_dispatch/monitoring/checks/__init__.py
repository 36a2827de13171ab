"""The checks of `worker doctor`: what would lose, repeat or delay messages. A file a subject."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache, partial
from typing import TypeAlias

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.monitoring.checks.broker import (
    check_database_apart,
    check_foreign_queues,
    check_own_server,
    check_reachable,
)
from bulk_dispatch.monitoring.checks.intake import check_dead_letters, check_unrouted, check_writable
from bulk_dispatch.monitoring.checks.ledger import (
    check_conflicts,
    check_durability,
    check_flows,
    check_migration,
    check_snapshots,
)
from bulk_dispatch.monitoring.checks.redis_settings import (
    DISPATCHER,
    check_eviction,
    check_memory,
    check_persistence,
)
from bulk_dispatch.monitoring.checks.result import NOT_ALLOWED, UNUSABLE, CheckResult
from bulk_dispatch.monitoring.checks.routes import check_route_states, check_routes_file, check_time_limits
from bulk_dispatch.monitoring.checks.workers import check_processes
from bulk_dispatch.timezones import data_version

__all__ = ["CheckResult", "examine"]

Check: TypeAlias = tuple[str, Callable[[], Iterable[CheckResult]]]
"""What is looked at, and the look."""


def examine(settings: Settings, patience: float = 1.5) -> Iterator[CheckResult]:
    """Every check, each by itself: one that cannot be made is told, and the others are made all the same.

    `patience` is how many seconds the workers have to answer.
    """
    with (
        closing(Ledger.connect(settings.database_url, connections=2)) as ledger,
        closing(Intake.connect(settings.redis_url, tries=1)) as intake,
    ):
        server = cache(intake.server)  # asked once; a refusal each time, so that each check tells it
        yield from _of_one(
            ("database", lambda: check_migration(ledger)),
            ("durability", lambda: check_durability(ledger)),
            ("snapshots", lambda: check_snapshots(ledger)),
            ("conflicts", lambda: check_conflicts(ledger)),
            ("flows", lambda: check_flows(ledger)),
        )
        yield from _of_one(
            ("intake", lambda: check_writable(intake)),
            ("eviction", lambda: check_eviction(server())),
            ("persistence", lambda: check_persistence(server())),
            ("memory", lambda: check_memory(server(), DISPATCHER)),
            ("dead letters", lambda: check_dead_letters(intake)),
            ("unrouted", lambda: check_unrouted(intake)),
        )
        yield from _of_one(
            ("broker", lambda: check_reachable(settings)),
            ("broker", lambda: check_database_apart(settings, intake)),
            ("broker", lambda: check_foreign_queues(settings)),
            ("broker", lambda: check_own_server(settings, server)),
        )
        yield from _of_one(
            ("routes", lambda: check_routes_file(settings)),
            ("time limits", lambda: check_time_limits(settings)),
            ("routes", lambda: check_route_states(settings, ledger)),
        )
        yield CheckResult(
            "time zones", "ok", f"by the data of tzdata {data_version()}, whatever this host has"
        )
        yield from check_processes(settings, intake, patience)


def _of_one(vital: Check, *others: Check) -> Iterator[CheckResult]:
    """The checks of one server or file: where it cannot be used at all, the others need not try."""
    what, look = vital
    try:
        yield from look()
    except NOT_ALLOWED as problem:
        yield CheckResult.unseen(what, problem)
    except UNUSABLE as problem:
        yield CheckResult(what, "bad", str(problem))
        others = tuple((other, partial(_hidden_behind, other, what)) for other, _ in others)
    for other, look_there in others:
        yield from _guarded(other, look_there)


def _hidden_behind(what: str, vital: str) -> Iterator[CheckResult]:
    if what != vital:  # of that enough is said
        yield CheckResult(what, "warning", f"cannot be seen without the {vital}")


def _guarded(what: str, look: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
    try:
        yield from look()
    except UNUSABLE as problem:
        yield CheckResult.unseen(what, problem)
