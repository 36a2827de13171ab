"""`worker cancel`: withdraws what is queued, asks providers, and tells what became of every message."""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.stages.cancel import Fate
from bulk_dispatch.stages.dispatch import dispatch
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.ledger.book import Book

NOTHING = {fate.value: 0 for fate in Fate}
BETA: dict[str, object] = {**ROUTE, "mode": "async"}


@pytest.fixture
def shell(setup: Setup) -> Shell:
    """Two routes, whose provider nobody can reach."""
    return Shell.at(setup.routes(alpha=ROUTE, beta=BETA), setup.folder)


@pytest.mark.slow
def test_a_campaign_is_withdrawn_with_a_reason(shell: Shell, book: Book) -> None:
    book.enqueue([message(1, campaign="spring"), message(2, route="beta", campaign="spring"), message(3)])

    ran = shell.worker("cancel", "--campaign", "spring", "--reason", " wrong \n price ", "--json")

    assert ran.code == 0
    assert ran.json == {**NOTHING, "cancelled_queued": 2, "reason": "wrong price", "stopped": ""}
    assert list(book.statuses().values()) == ["cancelled", "cancelled", "queued"]
    assert shell.worker("status", "client-1", "--json").json["events"][-1]["note"] == "wrong price"
    assert shell.worker("books", "--check", "--json").json["balanced"]
    again = shell.worker("cancel", "--campaign", "spring")
    assert (again.code, again.out) == (0, "Nothing was there to cancel.\n")


@pytest.mark.slow
def test_everything_and_a_route_can_be_meant(shell: Shell, book: Book) -> None:
    book.enqueue([message(1), message(2, route="beta"), message(3, route="gone", campaign="spring")])

    assert shell.worker("cancel", "--route", "beta", "--json").json["cancelled_queued"] == 1
    assert shell.worker("cancel", "--route", "gone", "--json").json["cancelled_queued"] == 1
    assert shell.worker("cancel", "--all", "--yes", "--json").json["cancelled_queued"] == 1
    assert set(book.statuses().values()) == {"cancelled"}


@pytest.mark.slow
def test_named_messages_that_are_not_cancelled_are_told(shell: Shell, book: Book) -> None:
    book.enqueue([message(1)])
    book.settle(book.package([message(2, route="beta")]), Status.IN_DOUBT)
    book.enqueue([message(3)])
    shell.worker("cancel", "client-3")

    ran = shell.worker("cancel", "client-1", "client-2", "client-3", "nobody", "nobody", "--json")

    assert ran.code == 1
    assert ran.json == {
        **NOTHING,
        "cancelled_queued": 1,
        "cancelled_before": 1,
        "in_doubt": 1,
        "unknown": 1,
        "left": {"client-2": "in_doubt", "nobody": "unknown"},
        "reason": "cancelled by hand",
        "stopped": "",
    }
    assert "'client-2' is not cancelled: in doubt" in ran.err
    assert "'nobody' is not cancelled: unknown" in ran.err
    assert shell.worker("cancel", "client-1", "client-3").code == 0


def test_a_provider_that_does_not_answer_is_told(shell: Shell, book: Book) -> None:
    book.settle(book.package([message(1), message(2)]), Status.SENT)

    ran = shell.worker("cancel", "--all", "--yes", "--json")

    assert (ran.code, ran.json["unanswered"]) == (1, 2)
    assert list(book.statuses().values()) == ["sent", "sent"]
    assert "the provider gave no answer" in shell.worker("cancel", "--all", "--yes").out


def test_a_provider_is_asked(setup: Setup, book: Book, sandbox: str) -> None:
    holds: dict[str, object] = {"url": sandbox, "schedule_ahead": "2h"}
    runtime = setup.runtime(alpha=holds)
    book.enqueue([message(1, send_at=datetime.now(UTC) + timedelta(hours=1))])
    assert dispatch(runtime, "alpha", Lane.BULK).messages == 1
    shell = Shell.at(setup.routes(alpha=holds), setup.folder)

    shown = shell.worker("cancel", "--all", "--yes")

    assert shown.code == 0
    assert "dropped by the provider" in shown.out
    assert book.statuses() == {"client-1": "cancelled"}


def test_what_waits_in_the_intake_is_told(shell: Shell, setup: Setup) -> None:
    setup.runtime(alpha=ROUTE).intake.add(Lane.BULK, messages(2))

    ran = shell.worker("cancel", "client-1")

    assert ran.code == 1
    assert "2 messages still wait in the intake" in ran.err


@pytest.mark.slow
def test_who_is_interrupted_leaves_whole_steps_behind(shell: Shell, book: Book) -> None:
    """Somebody holds a message of the second step, so that the first is done when the signal comes."""
    book.enqueue(messages(7000))
    with book.ledger.begin() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql("SELECT 1 FROM messages ORDER BY id DESC LIMIT 1 FOR UPDATE")
        running = shell.start("cancel", "--route", "alpha")
        while not book.waiting_for_a_lock():
            assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)

    assert running.returncode == 143
    assert "stopped: 5,000 are cancelled; say it again, and it goes on" in err
    assert list(book.statuses().values()).count("cancelled") == 5000
    assert "Traceback" not in err
    assert shell.worker("cancel", "--route", "alpha").code == 0
    assert set(book.statuses().values()) == {"cancelled"}


USAGE = [
    pytest.param([], "one of the three", id="nothing selected"),
    pytest.param(["client-1", "--all"], "one of the three", id="named and all"),
    pytest.param(["client-1", "--route", "alpha"], "one of the three", id="named and a route"),
    pytest.param(["--all", "--campaign", "spring"], "one of the three", id="all and a campaign"),
    pytest.param(["--all", "--reason", " "], "--reason", id="a blank reason"),
    pytest.param(["--all"], "say --yes too", id="all, and nobody to ask"),
    pytest.param(["--all", "--reason", "a\x1bb"], "plain text", id="a control character"),
]


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_wrong_usage_cancels_nothing(shell: Shell, book: Book, words: list[str], said: str) -> None:
    book.enqueue(messages(1))

    ran = shell.worker("cancel", *words, COLUMNS="200")

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert book.statuses() == {"client-1": "queued"}
