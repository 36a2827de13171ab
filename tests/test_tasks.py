"""What the Celery tasks add to the stages."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from bulk_dispatch.config.settings import inherited_environment
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import by_status, history
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.stages.dispatch import Dispatched, dispatch
from bulk_dispatch.stages.ingest import Ingested, LaneOfRoute
from bulk_dispatch.tasks import Passed, if_known, ingest_and_begin, wake_others
from bulk_dispatch.worker_process import WorkerProcess
from tests.conftest import Setup
from tests.factories import message
from tests.forks import forks

ALPHA, BETA, BULK = ("alpha", Lane.URGENT), ("beta", Lane.URGENT), ("alpha", Lane.BULK)
NOWHERE: dict[str, object] = {"url": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Entered:
    """Where the parts of an ingest entered messages, which dispatch is left to its worker, who is woken."""

    lane: Lane
    parts: Sequence[Sequence[LaneOfRoute]]
    own: Sequence[LaneOfRoute]
    woken: Sequence[str]
    stopping: bool = False


ENTERED = {
    "one route is left to this worker": Entered(Lane.URGENT, [[ALPHA]], [ALPHA], []),
    "of two the first is": Entered(Lane.URGENT, [[ALPHA, BETA]], [ALPHA], ["beta:urgent"]),
    "another is woken for what comes later": Entered(
        Lane.URGENT, [[ALPHA], [ALPHA]], [ALPHA], ["alpha:urgent"]
    ),
    "bulk is for the bulk workers": Entered(Lane.URGENT, [[BULK], [ALPHA]], [ALPHA], ["alpha:bulk"]),
    "nothing is left to a bulk worker": Entered(
        Lane.BULK, [[ALPHA, BULK]], [], ["alpha:urgent", "alpha:bulk"]
    ),
    "nothing to one that is stopping": Entered(Lane.URGENT, [[ALPHA]], [], ["alpha:urgent"], stopping=True),
    "nothing came": Entered(Lane.URGENT, [[]], [], []),
}


@pytest.mark.parametrize("case", ENTERED.values(), ids=ENTERED)
def test_who_dispatches_what_was_ingested(setup: Setup, case: Entered) -> None:
    woken: list[tuple[str, str]] = []
    runtime = replace(
        setup.runtime(notify=lambda stage, name, after=0.0: woken.append((stage, name)), alpha=NOWHERE),
        stopping=lambda: case.stopping,
    )

    done = wake_others(runtime, case.lane, lambda *_: [Ingested(new=1, wake=wake) for wake in case.parts])

    assert list(done.wake) == case.own
    assert woken == [("dispatch", name) for name in case.woken]
    assert done.new == len(case.parts)


def test_others_are_woken_for_a_part_before_the_next_is_read(setup: Setup) -> None:
    seen: list[object] = []
    runtime = setup.runtime(notify=lambda stage, name, after=0.0: seen.append(name), alpha=NOWHERE)

    def stage(*_: object) -> Iterator[Ingested]:
        yield Ingested(wake=[BULK])
        seen.append("next part")
        yield Ingested(wake=[BULK])

    wake_others(runtime, Lane.BULK, stage)

    assert seen == ["alpha:bulk", "next part", "alpha:bulk"]


@pytest.fixture
def process(setup: Setup) -> Iterator[WorkerProcess]:
    """A process that knows the route alpha, whose provider is not there."""
    settings = setup.routes(alpha=NOWHERE)
    with celery_app(settings.broker_url) as app:
        process = WorkerProcess(settings, app)
        yield process
        process.close()


def test_urgent_messages_are_dispatched_by_the_worker_that_ingested_them(
    process: WorkerProcess, intake: Intake, ledger: Ledger
) -> None:
    intake.add(Lane.URGENT, [message(1, lane="urgent")])

    assert ingest_and_begin(process, Lane.URGENT).new == 1

    with ledger.begin() as connection:
        found = history(connection, "client-1")
    assert found is not None
    assert [event.to_status for event in found.events] == ["queued", "sending", "queued"]


class TestASchemaThatIsChanged:
    @pytest.fixture
    def database_url(self, own_database_url: str) -> str:
        """A database of this test's own."""
        return own_database_url

    @pytest.mark.parametrize(
        ("spoilt", "logged"),
        [
            pytest.param(
                "RENAME TO packages_of_before", "server_unavailable", id="a ledger that is not usable"
            ),
            pytest.param("ADD CHECK (false)", "dispatch_failed", id="an error nobody expects"),
        ],
    )
    def test_a_dispatch_that_fails_does_not_fail_the_ingest_before_it(
        self,
        process: WorkerProcess,
        intake: Intake,
        ledger: Ledger,
        caplog: pytest.LogCaptureFixture,
        spoilt: str,
        logged: str,
    ) -> None:
        intake.add(Lane.URGENT, [message(1, lane="urgent")])
        process.runtime()
        with ledger.begin() as connection:
            connection.execute(text(f"ALTER TABLE packages {spoilt}"))

        assert ingest_and_begin(process, Lane.URGENT).new == 1

        events = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert [event.partition(" ")[0] for event in events] == [logged]
        with ledger.begin() as connection:
            assert by_status(connection) == {Status.QUEUED: 1}
        assert intake.waiting()[Lane.URGENT] == 0


def test_a_wakeup_for_a_route_that_is_not_known_here_is_left_to_others(setup: Setup) -> None:
    runtime = setup.runtime(alpha=NOWHERE)

    assert if_known(runtime, "beta", dispatch, Lane.BULK) == Passed("beta")
    assert isinstance(if_known(runtime, "alpha", dispatch, Lane.BULK), Dispatched)


# -- settings that cannot be used


@pytest.mark.parametrize("command", ["worker", "beat"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_LOG_LEVEL", "loud"),
        ("WORKER_DATABASE_URL", "mysql://me:hush@here/db"),
        ("WORKER_BROKER_URL", "pigeons://me:hush@here"),
        ("WORKER_REDIS_URL", "redis://me:hush@127.0.0.1:9/0?wings=2"),
        ("WORKER_ROUTES", "nowhere.toml"),
    ],
)
def test_given_a_variable_that_cannot_be_used_when_celery_starts_then_one_sentence_says_so(
    setup: Setup, command: str, name: str, value: str
) -> None:
    settings = setup.routes(alpha=NOWHERE)
    root = str(Path(__file__).parents[1] / "worker")

    ran = forks().run(
        *("--quiet", "-A", "bulk_dispatch.tasks", command),
        program="celery",
        env={**inherited_environment(), **settings.environment(), "PYTHONPATH": root, name: value},
        cwd=setup.folder,
    )

    assert ran.returncode in (1, 2)
    assert name in ran.stderr
    assert "Traceback" not in ran.stderr + ran.stdout
    assert "hush" not in ran.stderr + ran.stdout
