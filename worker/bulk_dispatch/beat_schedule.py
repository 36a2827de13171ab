"""The timetable of beat: which stage it visits where, and how often. Visits carry no work."""

import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import schedule

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.messaging.celery_app import WAKEUP, queue_of
from bulk_dispatch.routing import Route
from bulk_dispatch.stages.account import can_be_watched
from bulk_dispatch.stages.poll import TICK

RESCUE_TICK = 2 * TICK
CLOSING_TICK = timedelta(seconds=30)

_START = datetime(2000, 1, 1, tzinfo=UTC)  # of the clock below; any instant would do


def steady_now() -> datetime:
    """The instant by a clock that nobody sets, for Celery to reckon with: it is nobody's date.

    By the wall clock, as Celery has it by default, beat would schedule nothing while that was set back.
    """
    return _START + timedelta(seconds=time.monotonic())


def every(interval: timedelta) -> schedule:
    """Once an interval, whatever is done to the wall clock."""
    return schedule(interval, nowfun=steady_now)


def beat_entries(routes: Collection[Route]) -> dict[str, dict[str, Any]]:
    """The visits of these routes, as Celery's beat_schedule has them, by stage and name."""
    return {**_often(route.config for route in routes), **_now_and_then(routes), **_closing()}


def _often(routes: Iterable[RouteConfig]) -> dict[str, dict[str, Any]]:
    """Every stage of every lane and route."""
    visits = [("ingest", lane.value, TICK) for lane in Lane]
    for route in routes:
        visits += [("dispatch", f"{route.name}:{lane.value}", TICK) for lane in Lane]
        visits += [("poll", route.name, TICK), ("rescue", route.name, RESCUE_TICK)]
        visits += [("match", route.name, TICK)] if route.webhook_secret else []
    return {
        f"{stage} {name}": {
            "task": f"bulk_dispatch.{stage}",
            "args": name.split(":"),
            "schedule": every(interval),
            "options": _options(stage, name),
        }
        for stage, name, interval in visits
    }


def _now_and_then(routes: Iterable[Route]) -> dict[str, dict[str, Any]]:
    """A look at each account whose provider tells of it: one at once, for nobody knows what changed while no
    beat was there, and then now and then."""
    return {
        f"watch {route.config.name}": {
            "task": "bulk_dispatch.watch",
            "args": [route.config.name],
            "schedule": every(route.config.balance_interval),
            "last_run_at": steady_now() - route.config.balance_interval,
            "options": _options("watch", route.config.name),
        }
        for route in routes
        if can_be_watched(route)
    }


def _closing() -> dict[str, dict[str, Any]]:
    return {
        "close journal": {
            "task": "bulk_dispatch.close",
            "args": [],
            "schedule": every(CLOSING_TICK),
            "options": _options("close", "journal"),
        }
    }


def _options(stage: str, name: str) -> dict[str, Any]:
    return {"queue": queue_of(stage, name), "headers": {WAKEUP: True}}
