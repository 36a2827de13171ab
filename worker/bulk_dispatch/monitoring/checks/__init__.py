"""The examination of `worker doctor`: looks for what would lose, repeat or delay messages."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TypeAlias, TypeVar

from bulk_dispatch.config.settings import Settings, SettingsError, names_only, read_routes
from bulk_dispatch.domain.doubt_policy import SETTLING, DoubtPolicy
from bulk_dispatch.domain.money import money
from bulk_dispatch.domain.question import Question
from bulk_dispatch.intake import ROOM, TIGHT, Intake, IntakeError, IntakeNotAllowedError
from bulk_dispatch.ledger import Ledger, LedgerError, LedgerRefusedError
from bulk_dispatch.ledger.conflicts import unseen_conflicts
from bulk_dispatch.ledger.in_doubt import elsewhere, overdue
from bulk_dispatch.ledger.migrate import behind
from bulk_dispatch.ledger.queries import RouteRow, route_rows
from bulk_dispatch.ledger.questions import RefusedQuestion, all_refused
from bulk_dispatch.ledger.server import server_settings
from bulk_dispatch.messaging.celery_app import (
    QUEUES,
    VISIBILITY,
    BrokerError,
    BrokerNotAllowedError,
    Celery,
    celery_app,
)
from bulk_dispatch.messaging.inspection import answers as broker_answers
from bulk_dispatch.messaging.inspection import bound_queues, consumers, sees, waiting
from bulk_dispatch.messaging.inspection import server as broker_server
from bulk_dispatch.monitoring.heartbeat import Heartbeat, read_all_heartbeats
from bulk_dispatch.monitoring.liveness import Liveness, ProcessHealth, Snapshot
from bulk_dispatch.providers.interface import Clocks
from bulk_dispatch.redis_server import RedisServer
from bulk_dispatch.routing import Route, build_routes, shown_route
from bulk_dispatch.stages.account import is_low, is_off
from bulk_dispatch.stages.time_limits import max_task_duration
from bulk_dispatch.timezones import data_version

T = TypeVar("T")

OFF = timedelta(seconds=60)
"""A clock that is further off than that is worth a look. Much more than a heartbeat takes to be written."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing looked at: ok, warning (works, but look at it), or bad (does not work, or must not be sent
    like this)."""

    what: str
    result: str
    seen: str

    @property
    def severity(self) -> int:
        """0 well, 1 a warning, 2 something does not work."""
        return RESULTS.index(self.result)


RESULTS = ("ok", "warning", "bad")

NOT_ALLOWED = (LedgerRefusedError, IntakeNotAllowedError, BrokerNotAllowedError)
"""It is there, and does not let us look."""

UNUSABLE = (LedgerError, IntakeError, BrokerError, SettingsError)

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
            ("database", lambda: _database(ledger)),
            ("durability", lambda: _durability(ledger)),
            ("conflicts", lambda: _conflicts(ledger)),
        )
        yield from _of_one(
            ("intake", lambda: _intake(intake)),
            ("eviction", lambda: _eviction(server())),
            ("persistence", lambda: _persistence(server())),
            ("memory", lambda: _memory(server(), DISPATCHER)),
            ("dead letters", lambda: _dead_letters(intake)),
            ("unrouted", lambda: _unrouted(intake)),
        )
        yield from _of_one(
            ("broker", lambda: _broker(settings)),
            ("broker", lambda: _apart(settings, intake)),
            ("broker", lambda: _foreign(settings)),
            ("broker", lambda: _server_of_its_own(settings, server)),
        )
        yield from _of_one(
            ("routes", lambda: _routes(settings)),
            ("time limits", lambda: _time_limits(settings)),
            ("routes", lambda: _route_states(settings, ledger)),
        )
        yield CheckResult(
            "time zones", "ok", f"by the data of tzdata {data_version()}, whatever this host has"
        )
        yield from _workers(settings, intake, patience)


def _of_one(vital: Check, *others: Check) -> Iterator[CheckResult]:
    """The checks of one server or file: where it cannot be used at all, the others need not try."""
    what, look = vital
    try:
        yield from look()
    except NOT_ALLOWED as problem:
        yield _unseen(what, problem)
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
        yield _unseen(what, problem)


def _unseen(what: str, problem: Exception | str) -> CheckResult:
    return CheckResult(what, "warning", f"cannot be seen: {problem}")


# -- the ledger


def _database(ledger: Ledger) -> Iterator[CheckResult]:
    there, expected = behind(ledger)
    with ledger.begin() as connection:
        name = f"PostgreSQL {server_settings(connection).version}"
    if there != expected:
        yield CheckResult("database", "bad", f"stands at {there or 'nothing'}, {expected} is expected")
    else:
        yield CheckResult("database", "ok", f"{name}, migrated to {there}")


def _durability(ledger: Ledger) -> Iterator[CheckResult]:
    with ledger.begin() as connection:
        server = server_settings(connection)
    if server.lazy:
        yield CheckResult("durability", "bad", server.warning)


def _conflicts(ledger: Ledger) -> Iterator[CheckResult]:
    """Who gives an id twice learns of it nowhere else, unless he asks. Told until somebody has looked."""
    with ledger.begin() as connection:
        count, first = unseen_conflicts(connection)
    if first:
        yield CheckResult(
            "conflicts",
            "warning",
            f"{count} messages since {first:%Y-%m-%d %H:%M} UTC were not sent: their client ids had been "
            "used before, with other content; see `worker conflicts list --seen`, which takes them for seen",
        )


# -- the intake


def _intake(intake: Intake) -> Iterator[CheckResult]:
    intake.takes()
    yield CheckResult("intake", "ok", "Redis takes what is written")


def _eviction(server: RedisServer) -> Iterator[CheckResult]:
    policy = server.maxmemory_policy
    if policy is None:
        yield _unseen(
            "eviction", "Redis refuses both CONFIG and INFO; its maxmemory-policy must be noeviction"
        )
    elif policy != "noeviction":
        yield CheckResult("eviction", "bad", f"maxmemory-policy is {policy}: full memory would drop messages")
    else:
        yield CheckResult("eviction", "ok", "maxmemory-policy is noeviction")


def _persistence(server: RedisServer) -> Iterator[CheckResult]:
    if server.appendonly is None:
        yield _unseen("persistence", "Redis refuses both CONFIG and INFO; its appendonly must be yes")
    elif server.appendonly != "yes":
        yield CheckResult("persistence", "bad", "appendonly is off: a restart of Redis would drop messages")
    else:
        yield CheckResult("persistence", "ok", "appendonly is on")


def _dead_letters(intake: Intake) -> Iterator[CheckResult]:
    if letters := intake.dead_letters():
        yield CheckResult("dead letters", "warning", f"{letters} are there: worker dead-letters list")


def _unrouted(intake: Intake) -> Iterator[CheckResult]:
    for place, count, since in intake.unrouted():
        route = shown_route(place.route)
        yield CheckResult(
            "unrouted",
            "warning",
            f"{count} {place.lane} messages wait for a route that no worker knew: {route}, the oldest since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC",
        )


DISPATCHER = f"from {ROOM:.0%} on the Dispatcher is refused"
SEND_TASK = "when it is full, send_task is refused"


def _memory(server: RedisServer, refused: str) -> Iterator[CheckResult]:
    """Who fills Redis is told long before it is full: then it takes nothing any more but what empties it."""
    full = server.fullness
    if full is None:
        yield _unseen("memory", "Redis refuses INFO, so nobody sees it fill up before it is full")
    elif full > TIGHT:
        yield CheckResult(
            "memory",
            "bad" if full > ROOM else "warning",
            f"{full:.0%} of Redis's maxmemory are used; {refused}: see who fills it, and whether it drains",
        )


# -- the broker


def _broker(settings: Settings) -> Iterator[CheckResult]:
    broker_answers(celery_app(settings.broker_url))
    yield from ()


def _apart(settings: Settings, intake: Intake) -> Iterator[CheckResult]:
    """The broker needs a database of its own: others' visibility time-outs and keys reach into it."""
    if _same_database(celery_app(settings.broker_url), intake):
        yield CheckResult("broker", "bad", "shares a Redis database with the intake; give it one of its own")


def _foreign(settings: Settings) -> Iterator[CheckResult]:
    foreign = [name for name in bound_queues(celery_app(settings.broker_url)) if not _ours(name)]
    if foreign:
        yield CheckResult(
            "broker", "bad", f"is shared with another application: it holds {', '.join(foreign)}"
        )
    else:
        yield CheckResult("broker", "ok", "holds no queues but ours")


def _server_of_its_own(settings: Settings, intakes: Callable[[], RedisServer]) -> Iterator[CheckResult]:
    """Messages by send_task lie there: it is set up like the intake's, where it is another server."""
    server = broker_server(celery_app(settings.broker_url))
    with suppress(IntakeError):  # away, it is another
        if server.identity == intakes().identity:
            return
    for found in (*_eviction(server), *_persistence(server), *_memory(server, SEND_TASK)):
        yield replace(found, seen=f"the broker's Redis: {found.seen}")


def _ours(queue: str) -> bool:
    """Our queues, and those through which Celery talks to its workers."""
    return queue in QUEUES or queue.endswith("celery.pidbox") or queue.startswith("celeryev")


def _same_database(app: Celery, intake: Intake) -> bool:
    """By a key written through one address and read through the other: addresses have many spellings."""
    name = f"doctor-{uuid.uuid4().hex}"
    intake.claim_wakeup(name, timedelta(seconds=30))
    try:
        return sees(app, intake.wakeup_key(name))
    finally:
        intake.acknowledge(name)


def _time_limits(settings: Settings) -> Iterator[CheckResult]:
    """A task that outlives the visibility time-out is handed to a second worker too."""
    longest = max((max_task_duration(route), name) for name, route in read_routes(settings.routes).items())
    if longest[0] >= timedelta(seconds=VISIBILITY):
        yield CheckResult(
            "time limits",
            "bad",
            f"a task of {longest[1]} may take {longest[0]}; the visibility time-out is {VISIBILITY} s",
        )
    else:
        seen = f"no task takes longer than {longest[0]}; the visibility time-out is {VISIBILITY} s"
        yield CheckResult("time limits", "ok", seen)


def _routes(settings: Settings) -> Iterator[CheckResult]:
    routes = build_routes(read_routes(settings.routes))
    yield CheckResult("routes", "ok", f"{', '.join(routes)} ({settings.routes})")


def _route_states(settings: Settings, ledger: Ledger) -> Iterator[CheckResult]:
    routes = build_routes(read_routes(settings.routes))
    accounts = {name: route.config.account_ids for name, route in routes.items() if route.doubt in SETTLING}
    with ledger.begin() as connection:
        rows = route_rows(connection)
        strange = elsewhere(connection, accounts)
        old = overdue(connection, {name: route.config.doubt_most for name, route in routes.items()})
        refused = all_refused(connection)
    for row in rows:
        if row.name in routes:
            yield from _state(row)
            yield from _doubt(row, routes[row.name], old.get(row.name, 0), strange.get(row.name, 0))
            yield from _account(row, routes[row.name])
        elif row.unfinished:
            yield CheckResult(
                "routes",
                "bad",
                f"{row.name} is not in the routes file: {row.unfinished} messages are stranded",
            )
    yield from (_refused(name, one) for name, one in refused if name in routes)


def _refused(route: str, one: RefusedQuestion) -> CheckResult:
    """A question that is refused costs what only its answer could have told; sending goes on."""
    seen = (
        f"{route} does not answer ({one.question}) since {one.refused_at:%Y-%m-%d %H:%M:%S} UTC: "
        f"{one.reason}; to be asked again from {one.ask_at:%H:%M:%S}. "
        f"It goes on sending; meanwhile {_COSTS[one.question]}"
    )
    return CheckResult("questions", "warning", seen)


_COSTS = {
    Question.STATUS: "what no receipt tells of ends unconfirmed at its horizon, and doubt stays doubt",
    Question.JOB: "the messages of a job are asked for one by one",
    Question.CANCEL: "nothing is withdrawn there",
    Question.BALANCE: "nobody watches its money",
    Question.CLOCK: "nothing is given to it before its time",
    Question.PRICES: "it tells no prices",
    Question.SCHEDULED: "it does not list what it holds",
    Question.STOP_LIST: "its stop list cannot be pulled",
}
"""What it costs that a question is not answered."""


def _state(row: RouteRow) -> Iterator[CheckResult]:
    """A pause ends by itself; a stop waits for a person, and its messages with it."""
    if row.state != "active":
        severity = "warning" if row.state == "paused" else "bad"
        yield CheckResult("routes", severity, f"{row.name} is {row.state}: {row.reason}")


def _doubt(row: RouteRow, route: Route, old: int, strange: int) -> Iterator[CheckResult]:
    """What is being settled is as it should be; what waits for a person is told."""
    held = row.in_doubt if route.doubt is DoubtPolicy.HOLD else 0
    if held or old:
        since = f", {old} of them for longer than {route.config.doubt_most}" if old else ""
        seen = f"{row.in_doubt} messages of {row.name} are in doubt{since}: see `worker resolve`"
        yield CheckResult("doubt", "warning", seen)
    elif row.in_doubt:
        yield CheckResult(
            "doubt", "ok", f"{row.in_doubt} messages of {row.name} are in doubt, and being settled"
        )
    if strange:
        yield CheckResult(
            "doubt",
            "bad",
            f"{strange} of them left {row.name} by another account, where nobody asks any more: give some "
            "route of that name the account again, or settle them with `worker resolve`",
        )


def _account(row: RouteRow, route: Route) -> Iterator[CheckResult]:
    """What the route's provider told, when it was last asked."""
    if row.balance is not None and is_low(route, row.balance):
        seen = f"{money(row.balance)} {row.currency or ''}".strip()
        least = route.config.balance_least
        yield CheckResult(
            "balance", "warning", f"{seen} are left at {row.name}, below its balance_least of {least}"
        )
    if row.clock_skew is not None and isinstance(route.dialect, Clocks) and is_off(row.clock_skew):
        way = "ahead of" if row.clock_skew > timedelta(0) else "behind"
        off = abs(row.clock_skew)
        yield CheckResult(
            "their clock",
            "warning",
            f"that of {row.name} is {off} {way} ours: `zone` is wrong, or a clock. "
            "Nothing is given to them before its time",
        )


def _workers(settings: Settings, intake: Intake, patience: float) -> Iterator[CheckResult]:
    """Who answers, and who works: an answer alone says little."""
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
    if snapshot.answers is None:  # nobody could be asked, and that was told
        return
    missing = [name for name in QUEUES if name not in set().union(*snapshot.answers.values())]
    if not snapshot.answers:
        yield CheckResult("workers", "bad", "no Celery worker answers: nothing is sent")
    elif missing:
        yield CheckResult("workers", "bad", f"no worker consumes {', '.join(missing)}")
    elif all(checked.healthy for checked in judgements):
        yield CheckResult("workers", "ok", f"{len(snapshot.answers)} answer, every queue has a consumer")


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
    """Killed and started anew, or frozen where we cannot look: nobody here can tell."""
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
            unseen.append(_unseen(what, problem))
            return otherwise

    nobody: tuple[datetime, list[Heartbeat], list[Heartbeat]] = (datetime.now(UTC), [], [])
    notified: dict[str, int] = seen("wake-ups", lambda: waiting(celery_app(settings.broker_url)), {})
    answers = seen("workers", lambda: consumers(celery_app(settings.broker_url), patience), None)
    now, heartbeats, replaced = seen("heartbeats", lambda: read_all_heartbeats(intake), nobody)
    return Snapshot(now, heartbeats, notified, answers, replaced)


def _told(checked: ProcessHealth, snapshot: Snapshot) -> str:
    answers = checked.node in (snapshot.answers or {})
    who = "one of that name" if checked.pid else "it"
    return (
        f"{checked.sentence(snapshot.now)}; {who} {'answers a ping' if answers else 'does not answer a ping'}"
    )


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
