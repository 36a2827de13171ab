"""`worker doctor` refuses what would lose or repeat messages, and says what it saw."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from bulk_dispatch.cli.context import opened_intake
from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.config.server_urls import next_database
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import HEARTBEATS, DeadLetter, Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.conflicts import latest_conflicts, take_for_seen
from bulk_dispatch.ledger.migrate import head
from bulk_dispatch.ledger.routes import register_routes, stop_route
from bulk_dispatch.ledger.transitions import ClaimRequest, Looks, Transition, claim, enqueue, settle
from bulk_dispatch.monitoring.checks import CheckResult, examine
from tests.cli.conftest import Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.odd_redis import odd_redis

ROUTE: dict[str, object] = {"url": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Patient:
    """An installation to spoil."""

    setup: Setup
    settings: Settings
    intake: Intake
    ledger: Ledger

    def found(self) -> dict[str, CheckResult]:
        """The worst finding of each kind."""
        weight = ("ok", "warning", "bad")
        found: dict[str, CheckResult] = {}
        for finding in examine(self.settings, patience=0.2):
            known = found.setdefault(finding.what, finding)
            if weight.index(finding.result) > weight.index(known.result):
                found[finding.what] = finding
        return found


@pytest.fixture
def patient(setup: Setup, intake: Intake, ledger: Ledger) -> Patient:
    """A sound installation, but for the workers: there are none."""
    return Patient(setup, setup.routes(alpha=ROUTE), intake, ledger)


def test_a_sound_installation_is_told_to_be_sound(patient: Patient) -> None:
    found = patient.found()

    results = {what: finding.result for what, finding in found.items()}
    # The servers of the tests do not flush to the disk, and the doctor sees that.
    assert results.pop("durability") == "bad"
    assert results.pop("workers") == "bad"  # nobody works
    assert results.pop("beat") == "bad"
    assert set(results.values()) == {"ok"}
    assert set(results) == {
        "database",
        "intake",
        "eviction",
        "persistence",
        "broker",
        "time limits",
        "time zones",
        "routes",
    }


@pytest.mark.slow
def test_conflicts_are_counted_until_somebody_has_looked(patient: Patient, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(2))
        enqueue(connection, [message(1, text="Other"), message(2, text="Other")])
        connection.execute(text("UPDATE conflicts SET at = now() - interval '25 hours'"))

    found = patient.found()["conflicts"]

    assert found.result == "warning"
    assert found.seen.startswith("2 messages since ")
    assert "worker conflicts list --seen" in found.seen
    with ledger.begin() as connection:
        take_for_seen(connection, latest_conflicts(connection, None, None).rows)
    assert "conflicts" not in patient.found()


@contextmanager
def _redis(patient: Patient, name: str, value: str) -> Iterator[Patient]:
    before = str(patient.intake.client.config_get(name)[name])
    patient.intake.client.config_set(name, value)
    try:
        yield patient
    finally:
        patient.intake.client.config_set(name, before)


@contextmanager
def _settings(patient: Patient, **changes: object) -> Iterator[Patient]:
    yield replace(patient, settings=replace(patient.settings, **changes))  # type: ignore[arg-type]


@contextmanager
def _route(patient: Patient, **changes: object) -> Iterator[Patient]:
    yield replace(patient, settings=patient.setup.routes(alpha={**ROUTE, **changes}))


@contextmanager
def _behind(patient: Patient) -> Iterator[Patient]:
    with patient.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    yield patient
    with patient.ledger.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{head()}'")


@contextmanager
def _foreign_queue(patient: Patient) -> Iterator[Patient]:
    broker = Intake.connect(patient.settings.redis_url.replace("db=0", "db=1"))
    broker.client.sadd("_kombu.binding.newsletter", "newsletter\x06\x16\x06\x16newsletter")
    broker.close()
    yield patient


@contextmanager
def _stopped(patient: Patient) -> Iterator[Patient]:
    with patient.ledger.begin() as connection:
        register_routes(connection, ["alpha"])
        stop_route(connection, "alpha", "lunch")
    yield patient


@contextmanager
def _paused(patient: Patient) -> Iterator[Patient]:
    with patient.ledger.begin() as connection:
        register_routes(connection, ["alpha"])
        connection.exec_driver_sql(
            "UPDATE routes SET state = 'paused', paused_until = now() + interval '1 h', "
            "reason = 'they throttle'"
        )
    yield patient


@contextmanager
def _dead_letter(patient: Patient) -> Iterator[Patient]:
    patient.intake.bury(DeadLetter.about(Lane.BULK, "text: is missing", {}))
    yield patient


@contextmanager
def _doubted(patient: Patient, account: str = "", ago: str = "0") -> Iterator[Patient]:
    look = Looks(timedelta(0), timedelta(0))
    with patient.ledger.begin() as connection:
        register_routes(connection, ["alpha"])
        enqueue(connection, messages(2))
        limits = Limits(items=9, octets=9999)
        package = claim(
            connection,
            ClaimRequest("alpha", limits, parallel=9, lease=timedelta(0), account=account),
            Lane.BULK,
        ).package
        assert package
        moves = [Transition(item.id, package.id, Status.IN_DOUBT) for item in package.items]
        settle(connection, moves, {package.id: look})
        connection.exec_driver_sql(
            f"UPDATE packages SET in_doubt_since = now() - interval '{ago}';"
            f"UPDATE journal SET at = now() - interval '{ago}'"
        )
    yield patient


def _doubted_long_ago(patient: Patient) -> AbstractContextManager[Patient]:
    return _doubted(patient, ago="25 h")


@contextmanager
def _held(patient: Patient) -> Iterator[Patient]:
    with _route(patient, in_doubt="hold") as spoilt, _doubted(spoilt):
        yield spoilt


def _left_elsewhere(patient: Patient) -> AbstractContextManager[Patient]:
    return _doubted(patient, account="another")


NOBODY = "postgresql+psycopg://me:hush@127.0.0.1:9/none"

Spoil = Callable[[Patient], "object"]


@pytest.mark.parametrize(
    ("spoil", "what", "result", "said"),
    [
        (lambda p: _redis(p, "maxmemory-policy", "allkeys-lru"), "eviction", "bad", "allkeys-lru"),
        (lambda p: _redis(p, "appendonly", "no"), "persistence", "bad", "appendonly is off"),
        (_behind, "database", "bad", "stands at 0000"),
        (lambda p: _settings(p, database_url=NOBODY), "database", "bad", "cannot be reached"),
        (lambda p: _settings(p, redis_url="redis://127.0.0.1:9/0"), "intake", "bad", "cannot be reached"),
        (lambda p: _settings(p, broker_url="redis://127.0.0.1:9/1"), "broker", "bad", "cannot be reached"),
        (
            lambda p: _settings(p, broker_url=p.settings.broker_url.replace("host=1", "host=0")),
            "broker",
            "bad",
            "shares a Redis database with the intake",
        ),
        (_foreign_queue, "broker", "bad", "newsletter"),
        (lambda p: _route(p, timeout="1h", lease="3h"), "time limits", "bad", "visibility"),
        (lambda p: _route(p, key="env:NO_SUCH_KEY"), "routes", "bad", "NO_SUCH_KEY"),
        (lambda p: _route(p, provider="pigeons"), "routes", "bad", "pigeons"),
        (_stopped, "routes", "bad", "lunch"),
        (_paused, "routes", "warning", "they throttle"),
        (_dead_letter, "dead letters", "warning", "1 are there: worker dead-letters list"),
        (_doubted, "doubt", "ok", "2 messages of alpha are in doubt, and being settled"),
        (_doubted_long_ago, "doubt", "warning", "in doubt, 2 of them for longer than 1 day, 0:00:00"),
        (_held, "doubt", "warning", "2 messages of alpha are in doubt: see `worker resolve`"),
        (_left_elsewhere, "doubt", "bad", "2 of them left alpha by another account"),
    ],
)
def test_what_is_unsafe_is_refused(
    patient: Patient, spoil: Callable[[Patient], Iterator[Patient]], what: str, result: str, said: str
) -> None:
    with spoil(patient) as spoilt:  # type: ignore[attr-defined]
        finding = spoilt.found()[what]

    assert finding.result == result
    assert said in finding.seen
    assert "hush" not in finding.seen


@pytest.mark.parametrize(
    ("used", "result", "said"),
    [
        (0.6, None, ""),
        (0.8, "warning", "from 90% on the Dispatcher is refused"),
        (0.95, "bad", "is refused: see"),
    ],
)
def test_a_redis_that_is_getting_full_is_told_before_it_is(
    patient: Patient, used: float, result: str | None, said: str
) -> None:
    client = patient.intake.client
    client.config_set("maxmemory", int(int(client.info("memory")["used_memory"]) / used))
    try:
        found = patient.found().get("memory")
    finally:
        client.config_set("maxmemory", 0)

    assert (found.result if found else None) == result
    assert said in (found.seen if found else "")


@pytest.mark.parametrize(
    ("options", "what", "severity", "said"),
    [
        (["--maxmemory-policy", "allkeys-lru"], "eviction", 2, "maxmemory-policy is allkeys-lru"),
        (["--appendonly", "no"], "persistence", 2, "appendonly is off"),
        (["--maxmemory", "1"], "memory", 2, "of Redis's maxmemory are used; when it is full, send_task is"),
        (["--rename-command", "INFO", ""], "memory", 1, "cannot be seen: Redis refuses INFO"),
        ([], "eviction", 0, "maxmemory-policy is noeviction"),
    ],
)
def test_given_a_broker_on_another_server_when_examined_then_that_one_is_told_too(
    patient: Patient, options: list[str], what: str, severity: int, said: str
) -> None:
    with odd_redis(*options) as url:
        found = looked_at(replace(patient.settings, broker_url=next_database(url)))

    [told] = [one for one in found[what] if one.seen.startswith("the broker's Redis: ")]
    assert (told.severity, said in told.seen) == (severity, True)
    assert [one.seen for one in found["eviction"] if one is not told][:1] == [
        "maxmemory-policy is noeviction"
    ]


def test_given_the_broker_on_the_server_of_the_intake_when_examined_then_it_is_told_once(
    patient: Patient,
) -> None:
    found = looked_at(patient.settings)

    assert [one.seen for one in found["eviction"]] == ["maxmemory-policy is noeviction"]


def test_a_broker_beside_the_intake_is_the_default(patient: Patient) -> None:
    assert patient.settings.broker_url == next_database(patient.settings.redis_url)


# -- who works


def leave(intake: Intake, node: str, queues: list[str], worked: float, **also: object) -> None:
    """A process that last worked so many seconds ago; beat has scheduled tasks for an hour."""
    facts = {
        "last_activity": worked,
        "last_success": worked,
        "ticking": 3600,
        "active": 0,
        "slots": 4,
        "last_error": "",
    }
    intake.write_heartbeat(node, {"queues": queues, **facts, **also})


def freeze(intake: Intake, node: str, seconds: float) -> None:
    """It said its last so long ago."""
    instant, _, facts = str(intake.client.hget(HEARTBEATS, node)).partition(" ")
    intake.client.hset(HEARTBEATS, node, f"{float(instant) - seconds} {facts}")


def test_a_stalled_worker_is_named_with_the_instant_from_which_it_did_nothing(patient: Patient) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 1)
    leave(patient.intake, "bulk@here", ["bulk"], 90)

    found = patient.found()

    assert found["workers"].result == "bad"
    assert re.search(
        r"bulk@here is stalled: no work done since \S+ UTC \(9\d s\)", found["workers"].seen
    )  # a second or more may pass on a busy machine
    assert found["workers"].seen.endswith("it does not answer a ping")
    assert (found["beat"].result, found["beat"].seen) == ("ok", "beat@here is scheduling")


def test_a_worker_that_is_gone_is_a_warning_where_another_does_its_work(patient: Patient) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 1)
    leave(patient.intake, "bulk@here", ["bulk"], 1)
    leave(patient.intake, "bulk@there", ["bulk"], 90)

    found = [f for f in examine(patient.settings, patience=0.2) if f.what == "workers"]

    assert [f.result for f in found if "bulk@there is offline" in f.seen] == ["warning"]


def test_a_beat_that_fell_silent_is_told_with_the_instant(patient: Patient) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 90)

    beat = patient.found()["beat"]

    assert beat.result == "bad"
    assert beat.seen.startswith("no beat has scheduled a task since")


@pytest.mark.parametrize(
    ("off", "result", "said"),
    [
        (0, "ok", "none is further than 60 s from Redis's"),
        (59, "ok", "none is further than 60 s"),
        (65, "warning", "@here is 65 s ahead of Redis's"),
        (-1790, "warning", "@here is 1790 s behind Redis's"),
        (7200, "warning", "@here is 7200 s ahead of Redis's"),
    ],
)
@pytest.mark.parametrize("node", ["bulk@here", "beat@here"])
def test_a_host_whose_clock_is_off_is_named(
    patient: Patient, node: str, off: float, result: str, said: str
) -> None:
    leave(patient.intake, node, ["bulk"], 1, clock=time.time() + off)

    clocks = patient.found()["clocks"]

    assert clocks.result == result
    assert said in clocks.seen


def test_two_processes_of_one_name_are_told_and_a_stopped_one_of_them(shell: Shell, patient: Patient) -> None:
    facts = {
        "queues": ["bulk"],
        "last_activity": 1,
        "last_success": 1,
        "last_error": "",
        "slots": 4,
        "began": 600,
    }
    leave(patient.intake, "beat@here", ["bulk"], 1)
    patient.intake.write_heartbeat("bulk@here", {**facts, "active": 4}, "m.7.1")
    patient.intake.write_heartbeat("bulk@here", {**facts, "active": 0}, "m.8.1")
    freeze(patient.intake, "bulk@here#m.7.1", 60)

    found = [f for f in examine(patient.settings, patience=0.2) if f.what == "workers"]
    checked = shell.worker("doctor", "--node", "bulk@here")

    assert any(f.seen.startswith("2 processes are called bulk@here (7, 8)") for f in found)
    # It answers no ping, nor does the other here: so it may have been killed.
    assert any(f.seen.startswith("bulk@here (process 7) is offline: no work done since") for f in found)
    assert (checked.code, "bulk@here (process 7) sends no heartbeat" in checked.err) == (1, True)


def test_given_one_that_fell_silent_elsewhere_before_another_took_its_name_then_both_are_told(
    shell: Shell, patient: Patient
) -> None:
    facts = {"queues": ["bulk"], "last_activity": 1, "last_success": 1, "last_error": "", "slots": 4}
    leave(patient.intake, "beat@here", ["bulk"], 1)
    patient.intake.write_heartbeat("bulk@here", {**facts, "active": 4, "began": 600}, "m.7.1")
    patient.intake.write_heartbeat("bulk@here", {**facts, "active": 0, "began": 30}, "n.8.1")
    freeze(patient.intake, "bulk@here#m.7.1", 60)

    found = [f for f in examine(patient.settings, patience=0.2) if f.what == "workers"]
    checked = shell.worker("doctor", "--node", "bulk@here")

    [told] = [f for f in found if f.seen.startswith("bulk@here (process 7) has said nothing since")]
    assert told.result == "warning"
    assert told.seen.endswith("another has its name since: it was killed, or is frozen elsewhere")
    assert not [f for f in found if "processes are called" in f.seen]
    assert checked.code == 0  # the health check of the one that has the name


def test_the_clock_of_who_is_gone_concerns_nobody(patient: Patient) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 1)
    leave(patient.intake, "bulk@here", ["bulk"], 1)
    leave(patient.intake, "bulk@there", ["bulk"], 90, clock=time.time() + 7200)
    leave(patient.intake, "beat@there", ["bulk"], 90, clock=time.time() + 7200)

    assert patient.found()["clocks"].result == "ok"


@pytest.mark.parametrize(
    ("node", "code", "state", "said"),
    [
        ("bulk@here", 0, "healthy", "bulk@here is healthy"),
        ("bulk@there", 1, "stalled", "bulk@there is stalled: no work done since"),
        ("bulk@full", 0, "saturated", "bulk@full is saturated"),
        ("beat@here", 0, "healthy", "beat@here is healthy"),
        ("bulk@stuck", 1, "overdue", "bulk@stuck is overdue: no work done since"),
        ("bulk@frozen", 1, "no_heartbeat", "bulk@frozen sends no heartbeat: no work done since"),
        ("bulk@nowhere", 1, "unknown", "bulk@nowhere has sent no heartbeat"),
    ],
)
def test_one_process_is_judged_for_its_health_check(
    shell: Shell, patient: Patient, node: str, code: int, state: str, said: str
) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 1)
    leave(patient.intake, "bulk@here", ["bulk"], 1)
    leave(patient.intake, "bulk@there", ["bulk"], 90)
    leave(patient.intake, "bulk@full", ["bulk"], 90, active=4, max_step=600)
    leave(patient.intake, "bulk@stuck", ["bulk"], 601, active=4, max_step=600)
    leave(patient.intake, "bulk@frozen", ["bulk"], 1, active=4, max_step=600)
    freeze(patient.intake, "bulk@frozen", 60)

    plain = shell.worker("doctor", "--node", node)
    told = shell.worker("doctor", "--node", node, "--json")

    assert plain.code == told.code == code
    assert said in (plain.err if code else plain.out)
    assert (told.json["node"], told.json["healthy"], told.json["state"]) == (node, code == 0, state)


def test_this_host_is_written_as_celery_writes_it(shell: Shell, patient: Patient) -> None:
    leave(patient.intake, f"bulk@{socket.gethostname()}", ["bulk"], 1)

    assert shell.worker("doctor", "--node", "bulk@%h").code == 0


# -- which routes they know


def digests(patient: Patient) -> dict[str, str]:
    """What a worker with the same routes file tells of them."""
    return {name: route.settings_digest for name, route in read_routes(patient.settings.routes).items()}


@pytest.mark.parametrize("node", ["bulk@here", "beat@here"])
@pytest.mark.parametrize(
    ("change", "result", "said"),
    [
        (lambda known: known, "ok", "alpha ("),
        (lambda known: None, "ok", "alpha ("),  # of a version that does not say
        (
            lambda known: {"beta": "d"},
            "bad",
            "does not know alpha, still knows beta: reload it (worker reload)",
        ),
        (lambda known: {"alpha": "other"}, "warning", "has other settings of alpha: reload it"),
        (lambda known: {**known, "beta": "d"}, "warning", "still knows beta: reload it"),
    ],
)
def test_who_does_not_know_the_routes_of_the_file_is_named(
    patient: Patient,
    node: str,
    change: Callable[[dict[str, str]], dict[str, str] | None],
    result: str,
    said: str,
) -> None:
    leave(patient.intake, node, ["bulk"], 1, routes=change(digests(patient)))

    routes = patient.found()["routes"]

    assert routes.result == result
    assert said in routes.seen
    assert result == "ok" or routes.seen.startswith(node)


def test_who_could_not_read_the_routes_again_is_named_with_the_reason(patient: Patient) -> None:
    kept = "routes.beta.mode must be one of sync, async, got 'fast'"
    leave(patient.intake, "bulk@here", ["bulk"], 1, routes=digests(patient), kept=kept)

    routes = patient.found()["routes"]

    assert (routes.result, routes.seen) == ("bad", f"bulk@here keeps the routes it had: {kept}")


def test_what_the_gone_knew_concerns_nobody(patient: Patient) -> None:
    leave(patient.intake, "beat@here", ["bulk"], 1)
    leave(patient.intake, "bulk@here", ["bulk"], 1, routes=digests(patient))
    leave(patient.intake, "bulk@there", ["bulk"], 90, routes={"beta": "d"})

    assert patient.found()["routes"].result == "ok"


def test_what_waits_for_a_route_is_counted_by_its_name_but_for_numbers(patient: Patient) -> None:
    aside = {"beta": messages(2, route="beta"), "380931110001": messages(1, route="380931110001")}
    plain = {route: [message.as_dict() for message in waiting] for route, waiting in aside.items()}
    patient.intake.add(Lane.BULK, messages(3))
    entries = patient.intake.read(Lane.BULK, 10, timedelta(minutes=1))
    patient.intake.done(Lane.BULK, entries, unrouted=plain)

    said = [f.seen for f in examine(patient.settings, patience=0.2) if f.what == "unrouted"]

    assert len(said) == 2
    assert said[0].startswith(
        "1 bulk messages wait for a route that no worker knew: <12 characters>, the oldest"
    )
    assert said[1].startswith(
        "2 bulk messages wait for a route that no worker knew: beta, the oldest since 20"
    )


# -- how bad it is, by the exit code


def of_severity(patient: Patient, severity: int) -> set[str]:
    """What is found of such a severity."""
    return {
        finding.what for finding in examine(patient.settings, patience=0.2) if finding.severity == severity
    }


@pytest.mark.slow
def test_given_the_exit_codes_when_the_doctor_ends_then_the_worst_finding_decides(shell: Shell) -> None:
    ran = shell.worker("doctor", "--json")

    assert ran.code == ran.json["severity"] == 2  # nobody works
    assert ran.json["healthy"] is False
    assert {found["result"]: found["severity"] for found in ran.json["findings"]} == {"ok": 0, "bad": 2}


def test_given_no_worker_and_no_beat_when_examined_then_something_does_not_work(patient: Patient) -> None:
    assert {"workers", "beat"} <= of_severity(patient, 2)


# -- what cannot be seen


def looked_at(settings: Settings) -> dict[str, list[CheckResult]]:
    """All findings, by what they are about."""
    found: dict[str, list[CheckResult]] = {}
    for finding in examine(settings, patience=0.2):
        found.setdefault(finding.what, []).append(finding)
    return found


ALL = {"database", "intake", "eviction", "persistence", "broker", "routes", "time limits", "workers", "beat"}


def test_given_a_redis_without_config_when_examined_then_info_tells_and_all_else_is_looked_at(
    patient: Patient,
) -> None:
    with odd_redis("--rename-command", "CONFIG", "") as url:
        at = replace(patient.settings, redis_url=url, broker_url=next_database(url))
        with opened_intake(at) as intake:
            intake.bury(DeadLetter.about(Lane.BULK, "text: is missing", {}))
        found = looked_at(at)

    assert found.keys() >= ALL | {"dead letters"}
    assert [finding.result for finding in (*found["eviction"], *found["persistence"])] == ["ok", "ok"]
    assert found["dead letters"][0].seen == "1 are there: worker dead-letters list"
    assert not [one for finding in found.values() for one in finding if "cannot be seen" in one.seen]


@pytest.mark.parametrize(
    ("option", "what"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "eviction"),
        (("--appendonly", "no"), "persistence"),
    ],
)
def test_given_a_redis_without_config_when_it_is_unsafe_then_that_is_bad_all_the_same(
    patient: Patient, option: tuple[str, str], what: str
) -> None:
    with odd_redis("--rename-command", "CONFIG", "", *option) as url:
        found = looked_at(replace(patient.settings, redis_url=url, broker_url=next_database(url)))

    assert [finding.result for finding in found[what]] == ["bad"]


def test_given_neither_config_nor_info_when_examined_then_that_cannot_be_seen_and_the_rest_is(
    patient: Patient,
) -> None:
    with odd_redis("--rename-command", "CONFIG", "", "--rename-command", "INFO", "") as url:
        found = looked_at(replace(patient.settings, redis_url=url, broker_url=next_database(url)))

    for what in ("eviction", "persistence", "memory"):
        assert [(finding.severity, finding.seen[:14]) for finding in found[what]] == [(1, "cannot be seen")]
    assert found.keys() >= ALL


@pytest.mark.parametrize(
    ("denied", "hidden"),
    [
        ("-@dangerous", {"eviction", "persistence", "memory"}),
        ("-info", {"memory"}),
        ("-config", set[str]()),
        ("-xlen", {"dead letters"}),
        ("-smembers", {"unrouted"}),
        ("-hgetall", {"heartbeats"}),
        ("-set", {"intake", "broker"}),
        ("-exists", {"intake", "broker"}),
        ("-scan", {"broker"}),
        ("-llen", {"wake-ups", "workers"}),  # kombu counts, too
        ("-publish", {"workers"}),
    ],
)
def test_given_an_account_that_may_not_all_when_examined_then_only_that_cannot_be_seen(
    patient: Patient, denied: str, hidden: set[str]
) -> None:
    rule = f"somebody on nopass ~* &* +@all {denied}".split()
    with odd_redis("--user", *rule) as url:
        named = url.replace("unix://", "unix://somebody:x@")
        broker = next_database(url).replace("redis+socket://", "redis+socket://somebody:x@")
        found = looked_at(replace(patient.settings, redis_url=named, broker_url=broker))

    unseen = {what for what, those in found.items() for one in those if one.seen.startswith("cannot be seen")}
    assert unseen == hidden
    assert {one.severity for what in unseen for one in found[what] if "cannot" in one.seen} <= {1}
    assert found.keys() >= ALL - {"broker"} - ({"beat"} if "heartbeats" in hidden else set())


def test_given_no_database_when_examined_then_all_that_needs_none_is_looked_at(patient: Patient) -> None:
    found = looked_at(replace(patient.settings, database_url=NOBODY))

    assert [finding.severity for finding in found["database"]] == [2]
    assert found["conflicts"][0].seen == "cannot be seen without the database"
    assert {what for what in ALL if found[what][0].result == "ok"} >= {"intake", "eviction", "time limits"}
    assert [finding.result for finding in found["routes"]] == ["ok", "warning"]


def test_given_an_account_that_may_not_read_conflicts_when_examined_then_that_cannot_be_seen(
    patient: Patient, ledger: Ledger
) -> None:
    with ledger.begin() as connection:
        connection.exec_driver_sql(
            "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
            "REVOKE ALL ON conflicts FROM reader"
        )
    try:
        url = patient.settings.database_url.replace("postgres@", "reader@")
        found = looked_at(replace(patient.settings, database_url=url))
    finally:
        with ledger.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY reader; DROP ROLE reader")

    assert found["conflicts"][0].severity == 1
    assert found["conflicts"][0].seen.startswith("cannot be seen: the database refuses: permission denied")
    assert found["database"][0].result == "ok"
