"""What a producer is told before it hands over: whether anybody is there, and knows the routes."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.monitoring.heartbeat import Mark
from bulk_dispatch.monitoring.readiness import nobody_works, routes_unknown_to_workers

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def worker(name: str, *queues: str, ago: float = 1, **also: object) -> Mark:
    """A worker that came to its door, and ended a step, so many seconds ago."""
    heard = NOW - timedelta(seconds=ago)
    mark = Mark(f"{name}@here", frozenset(queues or (name,)), heard, heard, worked_at=heard, hands=4)
    return replace(mark, **also)  # type: ignore[arg-type]


def beat(ago: float = 1) -> Mark:
    rang = NOW - timedelta(seconds=ago)
    visited = frozenset({"urgent", "bulk", "poll"})
    hour = timedelta(hours=1)
    return Mark("beat@here", visited, rang, rang, worked_at=rang, unbroken_since=NOW - hour)


URGENT, BULK, POLL = worker("urgent", "urgent", "celery"), worker("bulk"), worker("poll")
GONE = 600.0
"""Seconds. Long enough for anybody to say something, and short enough for the mark to be there still."""


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([URGENT, BULK, POLL, beat()], ""),
        ([worker("all", "urgent", "bulk", "poll", "celery"), beat()], ""),
        ([], "no worker is running: messages wait in Redis"),
        ([POLL], "no worker is running: messages wait in Redis"),
        ([URGENT, POLL, beat()], "no worker takes bulk messages: messages wait in Redis"),
        ([POLL, beat()], "no worker takes urgent or bulk messages"),
        ([URGENT, worker("bulk", ago=GONE), beat()], "no worker takes bulk messages"),
        ([URGENT, BULK, beat(GONE)], "no beat is running: nothing is asked about"),
        (
            [worker("urgent", ago=GONE), worker("bulk", ago=GONE), beat(GONE)],
            "no beat is running, and no worker was heard of since 11:50:00 UTC: messages wait",
        ),
        ([worker("bulk", busy=4, ago=300, told_at=NOW), URGENT, beat()], ""),  # a long step in every hand
        ([replace(BULK, trouble="LedgerError"), URGENT, beat()], ""),  # it hears; that it fails, doctor says
    ],
)
def test_who_hands_over_is_told_where_nobody_takes_it(marks: Collection[Mark], said: str) -> None:
    told = nobody_works(NOW, marks)

    assert told.startswith(said)
    assert bool(told) == bool(said)


def test_only_the_lanes_that_are_used_matter() -> None:
    assert nobody_works(NOW, [BULK, beat()], ["bulk"]) == ""
    assert "no worker takes urgent" in nobody_works(NOW, [BULK, beat()], ["urgent"])


KNOWN = {"alpha": "d1"}


@pytest.mark.parametrize(
    ("marks", "names", "said"),
    [
        ([replace(BULK, routes=KNOWN), beat()], ["alpha"], ""),
        ([replace(BULK, routes=KNOWN), beat()], ["alpha", "beta"], "bulk@here does not know beta: such"),
        ([replace(BULK, routes=None), beat()], ["beta"], ""),  # of a version that does not say
        ([replace(POLL, routes=KNOWN), beat()], ["beta"], ""),  # it neither ingests nor dispatches
        (
            [replace(BULK, routes=KNOWN), replace(URGENT, routes=KNOWN), beat()],
            ["beta", "gamma"],
            "bulk@here does not know beta, gamma; urgent@here does not know beta, gamma: such",
        ),
        # dead by all signs: what it knew concerns nobody
        (
            [worker("bulk", ago=GONE, routes=KNOWN), replace(URGENT, routes={**KNOWN, "beta": ""}), beat()],
            ["beta"],
            "",
        ),
        ([], ["beta"], ""),
    ],
)
def test_routes_that_a_worker_does_not_know_are_named_with_it(
    marks: Collection[Mark], names: Collection[str], said: str
) -> None:
    told = routes_unknown_to_workers(NOW, sorted(marks, key=lambda mark: mark.node), names)

    assert told.startswith(said)
    assert bool(told) == bool(said)
