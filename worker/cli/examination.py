"""The examination of `worker doctor`: looks for what would lose, repeat or delay messages."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from worker.bell import (
    QUEUES,
    VISIBILITY,
    BrokerError,
    Celery,
    bound_queues,
    celery_app,
    consumers,
    sees,
    waiting,
)
from worker.cli.output import money
from worker.cli.session import opened_intake, opened_ledger
from worker.hearing import Evidence, Judgement, State
from worker.intake import ROOM, TIGHT, Intake, IntakeError
from worker.ledger import Ledger, LedgerError
from worker.ledger.conflicts import recent_conflicts
from worker.ledger.doubt import elsewhere
from worker.ledger.migrate import behind
from worker.ledger.queries import RouteRow, route_rows, server_settings
from worker.lines import Line, make_ready, shown_route
from worker.marks import Mark, read_marks
from worker.providers.contract import Clocks
from worker.settings import Settings, SettingsError, names_only, read_routes
from worker.sms.doubt import SETTLING
from worker.stages.account import is_low, is_off
from worker.stages.bounds import longest_step
from worker.zones import data_version

NEEDED = 180000  # RETURNING old.* came with PostgreSQL 18

OFF = timedelta(seconds=60)
"""A clock that is further off than that is worth a look. Much more than a mark takes to be written."""

RECENT = timedelta(days=1)  # a conflict that is older was told of yesterday


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ok, warning (works, but look at it), or bad (do not send like this)."""

    what: str
    verdict: str
    seen: str


def examine(settings: Settings, patience: float = 1.5) -> Iterator[Finding]:
    """Every check, each by itself: one that cannot be made is bad, and the others are made all the same.

    `patience` is how many seconds the workers have to answer.
    """
    with opened_ledger(settings) as ledger, opened_intake(settings) as intake:
        yield from _guarded("database", lambda: _database(ledger))
        yield from _guarded("intake", lambda: _intake(intake))
        yield from _guarded("broker", lambda: _broker(settings, intake))
        yield from _guarded("time limits", lambda: _time_limits(settings))
        yield Finding("time zones", "ok", f"by the data of tzdata {data_version()}, whatever this host has")
        yield from _guarded("routes", lambda: _routes(settings, ledger))
        yield from _guarded("conflicts", lambda: _conflicts(ledger))
        yield from _guarded("workers", lambda: _workers(settings, intake, patience))


def _guarded(what: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except (LedgerError, IntakeError, BrokerError, SettingsError) as problem:
        return [Finding(what, "bad", str(problem))]


def _database(ledger: Ledger) -> Iterator[Finding]:
    there, expected = behind(ledger)
    with ledger.begin() as connection:
        server = server_settings(connection)
    name = f"PostgreSQL {server.version // 10000}"
    if server.version < NEEDED:
        yield Finding("database", "bad", f"{name} is too old; {NEEDED // 10000} is needed")
    elif there != expected:
        yield Finding("database", "bad", f"stands at {there or 'nothing'}, {expected} is expected")
    else:
        yield Finding("database", "ok", f"{name}, migrated to {there}")
    if server.lazy:
        yield Finding(
            "durability", "bad", f"{', '.join(server.lazy)} is off: a crash may forget what was sent"
        )


def _intake(intake: Intake) -> Iterator[Finding]:
    seen = intake.configuration()
    if seen["maxmemory-policy"] != "noeviction":
        yield Finding(
            "eviction",
            "bad",
            f"maxmemory-policy is {seen['maxmemory-policy']}: full memory would drop messages",
        )
    else:
        yield Finding("eviction", "ok", "maxmemory-policy is noeviction")
    if seen["appendonly"] != "yes":
        yield Finding("persistence", "bad", "appendonly is off: a restart of Redis would drop messages")
    else:
        yield Finding("persistence", "ok", "appendonly is on")
    yield from _memory(intake)
    if letters := intake.dead_letters():
        yield Finding("dead letters", "warning", f"{letters} lie in the dead-letter stream")
    for place, count, since in intake.unrouted():
        route = shown_route(place.route)
        yield Finding(
            "unrouted",
            "warning",
            f"{count} {place.lane} messages wait for a route that no worker knew: {route}, the oldest since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC",
        )


def _memory(intake: Intake) -> Iterator[Finding]:
    """Who fills Redis is told long before it is full: then it takes nothing any more but what empties it."""
    full = intake.fullness()
    if full > TIGHT:
        refused = (
            "the Dispatcher is refused" if full > ROOM else f"from {ROOM:.0%} on the Dispatcher is refused"
        )
        yield Finding(
            "memory",
            "bad" if full > ROOM else "warning",
            f"{full:.0%} of Redis's maxmemory are used; {refused}: see who fills it, and whether it drains",
        )


def _broker(settings: Settings, intake: Intake) -> Iterator[Finding]:
    """The broker needs a database of its own: others' visibility time-outs and keys reach into it."""
    app = celery_app(settings.broker_url)
    if _same_database(app, intake):
        yield Finding("broker", "bad", "shares a Redis database with the intake; give it one of its own")
        return
    foreign = [name for name in bound_queues(app) if not _ours(name)]
    if foreign:
        yield Finding("broker", "bad", f"is shared with another application: it holds {', '.join(foreign)}")
    else:
        yield Finding("broker", "ok", "has a Redis database of its own")


def _ours(queue: str) -> bool:
    """Our queues, and those through which Celery talks to its workers."""
    return queue in QUEUES or queue.endswith("celery.pidbox") or queue.startswith("celeryev")


def _same_database(app: Celery, intake: Intake) -> bool:
    """By a mark left at one door and looked for at the other: addresses have many spellings."""
    mark = f"doctor-{uuid.uuid4().hex}"
    intake.first_ring(mark, timedelta(seconds=30))
    try:
        return sees(app, intake.bell_key(mark))
    finally:
        intake.answered(mark)


def _time_limits(settings: Settings) -> Iterator[Finding]:
    """A task that outlives the visibility time-out is handed to a second worker too."""
    longest = max((longest_step(route), name) for name, route in read_routes(settings.routes).items())
    if longest[0] >= timedelta(seconds=VISIBILITY):
        yield Finding(
            "time limits",
            "bad",
            f"a step of {longest[1]} may take {longest[0]}; the visibility time-out is {VISIBILITY} s",
        )
    else:
        seen = f"no step takes longer than {longest[0]}; the visibility time-out is {VISIBILITY} s"
        yield Finding("time limits", "ok", seen)


def _routes(settings: Settings, ledger: Ledger) -> Iterator[Finding]:
    lines = make_ready(read_routes(settings.routes))
    yield Finding("routes", "ok", f"{', '.join(lines)} ({settings.routes})")
    accounts = {name: line.route.account for name, line in lines.items() if line.doubt in SETTLING}
    with ledger.begin() as connection:
        rows = route_rows(connection)
        strange = elsewhere(connection, accounts)
    for row in rows:
        stranded = row.unfinished if row.name not in lines else 0
        if stranded:
            yield Finding(
                "routes",
                "bad",
                f"{row.name} is not in the routes file: {row.unfinished} messages are stranded",
            )
        if row.name not in lines:
            continue
        if row.state != "open":
            yield Finding("routes", "warning", f"{row.name} is {row.state}: {row.why}")
        if row.in_doubt:
            yield Finding("doubt", "warning", f"{row.in_doubt} messages of {row.name} are in doubt")
        if left := strange.get(row.name):
            yield Finding(
                "doubt",
                "bad",
                f"{left} of them left {row.name} by another account, where nobody asks any more: give some "
                "route of that name the account again, or settle them with `worker resolve`",
            )
        yield from _account(row, lines[row.name])


def _conflicts(ledger: Ledger) -> Iterator[Finding]:
    """Who gives an id twice learns of it nowhere else, unless he asks."""
    with ledger.begin() as connection:
        count, first = recent_conflicts(connection, RECENT)
    if first:
        yield Finding(
            "conflicts",
            "warning",
            f"{count} messages within a day, since {first:%Y-%m-%d %H:%M} UTC, were not sent: their client "
            "ids had been used before, with other content; see `worker conflicts list`",
        )


def _account(row: RouteRow, line: Line) -> Iterator[Finding]:
    """What the route's provider told, when it was last asked."""
    if row.balance is not None and is_low(line, row.balance):
        seen = f"{money(row.balance)} {row.currency or ''}".strip()
        least = line.route.balance_least
        yield Finding(
            "balance", "warning", f"{seen} are left at {row.name}, below its balance_least of {least}"
        )
    if row.clock_ahead is not None and isinstance(line.dialect, Clocks) and is_off(row.clock_ahead):
        way = "ahead of" if row.clock_ahead > timedelta(0) else "behind"
        off = abs(row.clock_ahead)
        yield Finding(
            "their clock",
            "warning",
            f"that of {row.name} is {off} {way} ours: `zone` is wrong, or a clock. "
            "Nothing is given to them before its time",
        )


def _workers(settings: Settings, intake: Intake, patience: float) -> Iterator[Finding]:
    """Who answers, and who works: an answer alone says little."""
    evidence = _evidence(settings, intake, patience)
    answers = evidence.answers or {}
    yield from _beat(evidence)
    yield from _clocks(evidence)
    yield from _namesakes(evidence)
    served = set().union(*answers.values())
    missing = [name for name in QUEUES if name not in served]
    judgements = evidence.judge()
    for judged in judgements:
        if not judged.healthy:
            verdict = "warning" if judged.state is State.GONE else "bad"
            yield Finding("workers", verdict, _told(judged, evidence))
    if not answers:
        yield Finding("workers", "warning", "no Celery worker answers")
    elif missing:
        yield Finding("workers", "bad", f"no worker consumes {', '.join(missing)}")
    elif all(judged.healthy for judged in judgements):
        yield Finding("workers", "ok", f"{len(answers)} answer, every queue has a consumer")
    yield from _known_routes(settings, evidence)


def _namesakes(evidence: Evidence) -> Iterator[Finding]:
    """Celery asks a node and hears one answer, whoever gave it."""
    for node, pids in evidence.namesakes().items():
        numbers = ", ".join(map(str, sorted(pids)))
        yield Finding(
            "workers",
            "warning",
            f"{len(pids)} processes are called {node} ({numbers}): give each a name of its own, by -n",
        )


def _known_routes(settings: Settings, evidence: Evidence) -> Iterator[Finding]:
    """A worker that does not know a route leaves its messages where they are."""
    try:
        routes = read_routes(settings.routes, secret=names_only)
    except SettingsError:  # told already
        return
    digests = {name: route.settings_digest for name, route in routes.items()}
    for mark in _there(evidence):
        if mark.kept:
            yield Finding("routes", "bad", f"{mark.node} keeps the routes it had: {mark.kept}")
        if unlike := mark.unlike(digests):
            verdict = "warning" if digests.keys() <= (mark.routes or {}).keys() else "bad"
            yield Finding("routes", verdict, f"{mark.node} {unlike}: reload it (worker reload) or restart it")


def _evidence(settings: Settings, intake: Intake, patience: float) -> Evidence:
    """In this order: a ring that waited before the ping was taken meanwhile, if anybody hears."""
    app = celery_app(settings.broker_url)
    rings = waiting(app)
    answers = consumers(app, patience)
    now, marks = read_marks(intake)
    return Evidence(now, marks, rings, answers)


def _told(judged: Judgement, evidence: Evidence) -> str:
    answers = judged.node in (evidence.answers or {})
    who = "one of that name" if judged.pid else "it"
    return (
        f"{judged.sentence(evidence.now)}; {who} {'answers a ping' if answers else 'does not answer a ping'}"
    )


def _beat(evidence: Evidence) -> Iterator[Finding]:
    """Without beat nothing is polled or rescued, and a lost ring stays lost."""
    if evidence.beats:
        yield Finding("beat", "ok", f"{', '.join(beat.node for beat in evidence.beats)} rings")
        return
    last = max((mark.worked_at for mark in evidence.marks if mark.is_beat and mark.worked_at), default=None)
    since = f" since {last:%H:%M:%S} UTC" if last else ""
    yield Finding("beat", "bad" if evidence.answers else "warning", f"no beat has rung{since}")


def _clocks(evidence: Evidence) -> Iterator[Finding]:
    """No stage goes by them, but `send_at` is checked by them, and people compare logs."""
    there = _there(evidence)
    for mark in there:
        if abs(mark.ahead) > OFF:
            yield Finding("clocks", "warning", _off(mark))
    if there and all(abs(mark.ahead) <= OFF for mark in there):
        yield Finding("clocks", "ok", f"none is further than {OFF.seconds} s from Redis's")


def _there(evidence: Evidence) -> list[Mark]:
    """The beats that ring, and the workers that are not gone."""
    gone = {judged.node for judged in evidence.judge() if judged.state is State.GONE}
    return [
        *evidence.beats,
        *(mark for mark in evidence.marks if not mark.is_beat and mark.node not in gone),
    ]


def _off(mark: Mark) -> str:
    way = "ahead of" if mark.ahead > timedelta(0) else "behind"
    seconds = f"{abs(mark.ahead).total_seconds():.0f} s"
    return f"{mark.node} is {seconds} {way} Redis's"
