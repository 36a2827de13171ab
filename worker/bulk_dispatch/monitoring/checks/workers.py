"""Checks of the processes: which answer, which work, and by which routes and clocks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.intake import Intake
from bulk_dispatch.messaging.celery_app import QUEUES, celery_app
from bulk_dispatch.messaging.inspection import consumers, waiting
from bulk_dispatch.monitoring.checks.result import UNUSABLE, CheckResult
from bulk_dispatch.monitoring.heartbeat import Heartbeat, read_all_heartbeats
from bulk_dispatch.monitoring.liveness import Liveness, ProcessHealth, Snapshot

T = TypeVar("T")

OFF = timedelta(seconds=60)
"""A clock that is further off than that is worth a look. Much more than a heartbeat takes to be written."""


def check_processes(settings: Settings, intake: Intake, patience: float) -> Iterator[CheckResult]:
    """Which processes answer a ping, and which work: an answer alone says little."""
    unseen: list[CheckResult] = []
    snapshot = _snapshot(settings, intake, patience, unseen)
    yield from unseen
    hidden = {finding.what for finding in unseen}
    if "heartbeats" not in hidden:
        yield from _beat(snapshot)
        yield from _clocks(snapshot)
        yield from _namesakes(snapshot)
        yield from map(_replaced, snapshot.replaced)
    yield from _consumers(snapshot)
    yield from _known_routes(settings, snapshot)


def _consumers(snapshot: Snapshot) -> Iterator[CheckResult]:
    judgements = snapshot.check()
    for checked in judgements:
        if not checked.healthy:
            severity = "warning" if checked.state is Liveness.OFFLINE else "bad"
            yield CheckResult("workers", severity, _told(checked, snapshot))
    if snapshot.answers is None:  # none could be asked, and that was told
        return
    missing = [name for name in QUEUES if name not in set().union(*snapshot.answers.values())]
    if not snapshot.answers:
        yield CheckResult("workers", "bad", "no Celery worker answers: nothing is sent")
    elif missing:
        yield CheckResult("workers", "bad", f"no worker consumes {', '.join(missing)}")
    elif all(checked.healthy for checked in judgements):
        yield CheckResult("workers", "ok", f"{len(snapshot.answers)} answer, every queue has a consumer")


def _beat(snapshot: Snapshot) -> Iterator[CheckResult]:
    """Without beat nothing is polled or rescued, and a lost wake-up stays lost."""
    if snapshot.beats:
        yield CheckResult("beat", "ok", f"{', '.join(beat.node for beat in snapshot.beats)} is scheduling")
        return
    last = max(
        (
            heartbeat.last_success_at
            for heartbeat in snapshot.heartbeats
            if heartbeat.is_beat and heartbeat.last_success_at
        ),
        default=None,
    )
    since = f" since {last:%H:%M:%S} UTC" if last else ""
    yield CheckResult("beat", "bad", f"no beat has scheduled a task{since}: nothing is asked about")


def _clocks(snapshot: Snapshot) -> Iterator[CheckResult]:
    """No stage goes by them, but `send_at` is checked by them, and people compare logs."""
    there = _there(snapshot)
    for heartbeat in there:
        if abs(heartbeat.clock_skew) > OFF:
            yield CheckResult("clocks", "warning", _off(heartbeat))
    if there and all(abs(heartbeat.clock_skew) <= OFF for heartbeat in there):
        yield CheckResult("clocks", "ok", f"none is further than {OFF.seconds} s from Redis's")


def _namesakes(snapshot: Snapshot) -> Iterator[CheckResult]:
    """Celery pings by name and reads one answer, whichever process gave it."""
    for node, pids in snapshot.namesakes().items():
        numbers = ", ".join(map(str, sorted(pids)))
        yield CheckResult(
            "workers",
            "warning",
            f"{len(pids)} processes are called {node} ({numbers}): give each a name of its own, by -n",
        )


def _replaced(heartbeat: Heartbeat) -> CheckResult:
    """It was killed and started anew, or is frozen on another host: that cannot be told from here."""
    pid = heartbeat.process.pid if heartbeat.process else "unknown"
    seen = (
        f"{heartbeat.node} (process {pid}) has said nothing since {heartbeat.sent_at:%H:%M:%S} UTC, and "
        "another has its name since: it was killed, or is frozen elsewhere"
    )
    return CheckResult("workers", "warning", seen)


def _known_routes(settings: Settings, snapshot: Snapshot) -> Iterator[CheckResult]:
    """A worker that does not know a route leaves its messages where they are."""
    try:
        routes = read_routes(settings.routes, secret=names_only)
    except SettingsError:  # told already
        return
    digests = {name: route.settings_digest for name, route in routes.items()}
    for heartbeat in _there(snapshot):
        if heartbeat.kept:
            yield CheckResult("routes", "bad", f"{heartbeat.node} keeps the routes it had: {heartbeat.kept}")
        if unlike := heartbeat.unlike(digests):
            severity = "warning" if digests.keys() <= (heartbeat.routes or {}).keys() else "bad"
            yield CheckResult(
                "routes", severity, f"{heartbeat.node} {unlike}: reload it (worker reload) or restart it"
            )


def _snapshot(settings: Settings, intake: Intake, patience: float, unseen: list[CheckResult]) -> Snapshot:
    """In this order: a task that waited before the ping was taken meanwhile, if anybody consumes. What cannot
    be seen is `unseen`, and nothing speaks of it in the snapshot."""

    def seen(what: str, look: Callable[[], T], otherwise: T) -> T:
        try:
            return look()
        except UNUSABLE as problem:
            unseen.append(CheckResult.unseen(what, problem))
            return otherwise

    nobody: tuple[datetime, list[Heartbeat], list[Heartbeat]] = (datetime.now(UTC), [], [])
    notified: dict[str, int] = seen("wake-ups", lambda: waiting(celery_app(settings.broker_url)), {})
    answers = seen("workers", lambda: consumers(celery_app(settings.broker_url), patience), None)
    now, heartbeats, replaced = seen("heartbeats", lambda: read_all_heartbeats(intake), nobody)
    return Snapshot(now, heartbeats, notified, answers, replaced)


def _told(checked: ProcessHealth, snapshot: Snapshot) -> str:
    answers = checked.node in (snapshot.answers or {})
    named = "one of that name" if checked.pid else "it"
    return f"{checked.sentence(snapshot.now)}; {named} {'answers' if answers else 'does not answer'} a ping"


def _there(snapshot: Snapshot) -> list[Heartbeat]:
    """The beats that schedule tasks, and the workers that are not gone."""
    gone = {checked.node for checked in snapshot.check() if checked.state is Liveness.OFFLINE}
    return [
        *snapshot.beats,
        *(
            heartbeat
            for heartbeat in snapshot.heartbeats
            if not heartbeat.is_beat and heartbeat.node not in gone
        ),
    ]


def _off(heartbeat: Heartbeat) -> str:
    way = "ahead of" if heartbeat.clock_skew > timedelta(0) else "behind"
    seconds = f"{abs(heartbeat.clock_skew).total_seconds():.0f} s"
    return f"{heartbeat.node} is {seconds} {way} Redis's"
