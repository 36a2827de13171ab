"""A PostgreSQL that is too old is refused by everything that opens a ledger, before anything is done."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import create_engine

from bulk_dispatch import Dispatcher
from bulk_dispatch.config.server_urls import database_address
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import TooOldError
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message
from tests.old_postgres import old_postgres

pytestmark = pytest.mark.slow

SAID = "PostgreSQL 16 is too old; 18 is needed"
ONE = ["--to", "+380931110001", "--sender", "Shop", "--text", "Hello"]
FILE = "client_id,recipient,sender,text\norder-1,+380931110001,Shop,Hello\n"


@pytest.fixture(scope="module")
def old_url() -> Iterator[str]:
    """The address of a PostgreSQL 16 with an empty database."""
    with old_postgres() as url:
        yield url


@pytest.fixture
def shell(setup: Setup, old_url: str) -> Shell:
    """A shell whose ledger is that, and whose Redis is good."""
    found = Shell.at(setup.routes(alpha=ROUTE), setup.folder)
    return Shell({**found.env, "WORKER_DATABASE_URL": old_url}, found.folder)


@pytest.mark.parametrize(
    "words",
    [
        ["db", "upgrade"],
        ["send", *ONE],
        ["send", *ONE, "--client-id", "order-1"],
        ["send", "-"],
        ["send", "-", "--dry-run"],
        ["web", "--port", "0"],
        ["books"],
        ["status", "order-1"],
        ["resolve"],
        ["cancel", "order-1"],
        ["routes", "list"],
        ["suppressions", "list"],
        ["conflicts", "list"],
    ],
    ids=" ".join,
)
def test_given_an_old_server_when_a_command_comes_then_it_refuses_at_once_with_both_versions(
    shell: Shell, intake: Intake, words: list[str]
) -> None:
    ran = shell.worker(*words, stdin=FILE)

    assert (ran.code, ran.out) == (1, "")
    assert SAID in ran.err
    assert "Enqueued" not in ran.err
    assert intake.waiting()[Lane.BULK] == 0


def test_given_an_old_server_when_a_worker_starts_then_it_ends_and_says_why(shell: Shell) -> None:
    words = ["-A", "bulk_dispatch.tasks", "worker", "-Q", "bulk", "--pool", "threads", "-n", "bulk@%h"]
    done = subprocess.run(
        [sys.executable, "-m", "celery", *words],
        env=dict(shell.env),
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert SAID in done.stderr
    assert "Traceback" not in done.stderr


def test_given_an_old_server_when_the_doctor_looks_then_it_is_bad_and_all_else_is_looked_at(
    shell: Shell,
) -> None:
    ran = shell.worker("doctor", "--json")

    assert ran.code == 2
    found = {finding["what"]: finding for finding in ran.json["findings"]}
    assert (found["database"]["severity"], found["database"]["seen"]) == (2, SAID)
    assert {"eviction", "persistence", "broker", "time limits", "workers"} <= found.keys()


def test_given_an_old_server_when_an_application_enqueues_in_its_own_transaction_then_it_is_refused(
    setup: Setup, old_url: str
) -> None:
    engine = create_engine(database_address(old_url))
    with (
        closing(Dispatcher(setup.routes(alpha=ROUTE))) as dispatcher,
        engine.begin() as connection,
        pytest.raises(TooOldError, match=SAID),
    ):
        dispatcher.enqueue(message(1), connection=connection)
    engine.dispose()
