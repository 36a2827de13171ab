"""What a producer is told before it hands over: whether anybody is there, and knows the routes."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.monitoring.heartbeat import Heartbeat
from bulk_dispatch.monitoring.readiness import nobody_works, routes_unknown_to_workers

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def worker(name: str, *queues: str, ago: float = 1, **also: object) -> Heartbeat:
    """A worker that began a step and ended one, so many seconds ago."""
    heard = NOW - timedelta(seconds=ago)
    heartbeat = Heartbeat(
        f"{name}@here", frozenset(queues or (name,)), heard, heard, last_success_at=heard, slots=4
    )
    return replace(heartbeat, **also)  # type: ignore[arg-type]


def beat(ago: float = 1) -> Heartbeat:
    ticked = NOW - timedelta(seconds=ago)
    visited = frozenset({"urgent", "bulk", "poll"})
    hour = timedelta(hours=1)
    return Heartbeat("beat@here", visited, ticked, ticked, last_success_at=ticked, ticking_since=NOW - hour)


URGENT, BULK, POLL = worker("urgent", "urgent", "celery"), worker("bulk"), worker("poll")
OFFLINE = 600.0
"""Seconds. Long enough for anybody to say something, and short enough for the heartbeat to be there still."""


@pytest.mark.parametrize(
    ("heartbeats", "said"),
    [
        ([URGENT, BULK, POLL, beat()], ""),
        ([worker("all", "urgent", "bulk", "poll", "celery"), beat()], ""),
        ([], "no worker is running: messages wait in Redis"),
        ([POLL], "no worker is running: messages wait in Redis"),
        ([URGENT, POLL, beat()], "no worker takes bulk messages: messages wait in Redis"),
        ([POLL, beat()], "no worker takes urgent or bulk messages"),
        ([URGENT, worker("bulk", ago=OFFLINE), beat()], "no worker takes bulk messages"),
        ([URGENT, BULK, beat(OFFLINE)], "no beat is running: nothing is asked about"),
        (
            [worker("urgent", ago=OFFLINE), worker("bulk", ago=OFFLINE), beat(OFFLINE)],
            "no beat is running, and no worker was heard of since 11:50:00 UTC: messages wait",
        ),
        ([worker("bulk", active=4, ago=300, sent_at=NOW), URGENT, beat()], ""),  # a long step in every hand
        (
            [replace(BULK, last_error="LedgerError"), URGENT, beat()],
            "",
        ),  # it hears; that it fails, doctor says
    ],
)
def test_who_hands_over_is_told_where_nobody_takes_it(heartbeats: Collection[Heartbeat], said: str) -> None:
    told = nobody_works(NOW, heartbeats)

    assert told.startswith(said)
    assert bool(told) == bool(said)


def test_only_the_lanes_that_are_used_matter() -> None:
    assert nobody_works(NOW, [BULK, beat()], ["bulk"]) == ""
    assert "no worker takes urgent" in nobody_works(NOW, [BULK, beat()], ["urgent"])


KNOWN = {"alpha": "d1"}


@pytest.mark.parametrize(
    ("heartbeats", "names", "said"),
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
            [
                worker("bulk", ago=OFFLINE, routes=KNOWN),
                replace(URGENT, routes={**KNOWN, "beta": ""}),
                beat(),
            ],
            ["beta"],
            "",
        ),
        ([], ["beta"], ""),
    ],
)
def test_routes_that_a_worker_does_not_know_are_named_with_it(
    heartbeats: Collection[Heartbeat], names: Collection[str], said: str
) -> None:
    told = routes_unknown_to_workers(NOW, sorted(heartbeats, key=lambda heartbeat: heartbeat.node), names)

    assert told.startswith(said)
    assert bool(told) == bool(said)
