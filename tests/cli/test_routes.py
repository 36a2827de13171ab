"""`worker routes` and `worker suppressions`: what providers tell of our accounts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.provider_account import note_clock
from bulk_dispatch.ledger.questions import note_refused, refused_questions
from bulk_dispatch.ledger.receipts import keep
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.monitoring.checks import CheckResult, examine
from bulk_dispatch.runtime import no_notify
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.server import running
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.dispatch import dispatch
from tests.cli.conftest import Shell
from tests.conftest import Setup
from tests.factories import message
from tests.stages.world import KIND

STOPPED = frozenset({"380939999991", "380939999992"})
PROVIDERS = replace(
    KIND, alphasms=AlphasmsOptions(money=12.5), webcom=WebcomOptions(stop_list=STOPPED, page_items=2)
)


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running(PROVIDERS) as url:
        yield url


@pytest.fixture
def tables(sandbox: str) -> dict[str, dict[str, object]]:
    return {
        "alpha": {"url": sandbox, "balance_warn_below": 100},
        "web": {"url": sandbox, "provider": "webcom-xml", "token": "test-key", "schedule_ahead": "2h"},
        "smart": {
            "url": sandbox,
            "provider": "smartswitch",
            "login": "sandbox",
            "password": "sandbox-password",
        },
    }


@pytest.fixture
def settings(setup: Setup, tables: dict[str, dict[str, object]]) -> Settings:
    return setup.routes(**tables)


@pytest.fixture
def shell(setup: Setup, settings: Settings) -> Shell:
    return Shell.at(settings, setup.folder)


# -- balance


def test_every_route_is_asked_for_its_balance(shell: Shell) -> None:
    ran = shell.worker("routes", "balance", "--json")

    assert ran.code == 0
    alpha, web, smart = ran.json["routes"]
    assert (alpha["route"], alpha["balance"], alpha["currency"]) == ("alpha", "12.50", "UAH")
    assert (alpha["balance_warn_below"], alpha["low"], alpha["problem"]) == (100, True, None)
    assert datetime.now(UTC) - datetime.fromisoformat(alpha["balance_at"]) < timedelta(minutes=1)
    assert (web["can_be_asked"], web["low"]) == (True, False)
    assert (smart["can_be_asked"], smart["balance"], smart["problem"]) == (False, None, None)


@pytest.mark.slow
def test_people_see_the_money_and_a_warning(shell: Shell) -> None:
    shown = shell.worker("routes", "balance", COLUMNS="150").out

    assert "LOW" in shown
    assert "cannot be asked" in shown
    listed = shell.worker("routes", "list", COLUMNS="200").out
    assert "12.50 UAH" in listed
    assert "the balance is below 100" in listed
    (alpha, *_) = shell.worker("routes", "list", "--json").json["routes"]
    assert (alpha["balance"], alpha["balance_low"], alpha["balance_warn_below"]) == ("12.50", True, 100)


def test_one_route_can_be_asked_and_no_answer_is_told(setup: Setup, shell: Shell) -> None:
    [web] = shell.worker("routes", "balance", "web", "--json").json["routes"]
    assert web["route"] == "web"

    away = Shell.at(setup.routes(alpha={"url": "http://127.0.0.1:9", "key": "hush-4711"}), setup.folder)
    ran = away.worker("routes", "balance", "--json")

    assert ran.code == 1
    assert ran.json["routes"][0]["problem"].startswith("not_sent")
    assert "hush" not in ran.out + ran.err


def test_receipts_that_wait_for_their_message_are_told(shell: Shell, ledger: Ledger) -> None:
    assert "receipts" not in shell.worker("routes", "list", COLUMNS="200").out
    with ledger.begin() as connection:
        keep(
            connection,
            "web",
            [DeliveryReceipt("9100451", Status.DELIVERED), DeliveryReceipt("9100452", Status.EXPIRED)],
        )

    assert "receipts that wait for their message: 2" in shell.worker("routes", "list", COLUMNS="200").out
    routes = shell.worker("routes", "list", "--json").json["routes"]
    assert {route["name"]: route["receipts_kept"] for route in routes} == {"alpha": 0, "web": 2, "smart": 0}


# -- prices


@pytest.mark.slow
def test_prices_are_told_of_numbers_that_are_not_shown(shell: Shell) -> None:
    numbers = ["+380930000001", "+380 93 000 00 02", "+380930000001"]

    ran = shell.worker("routes", "prices", "alpha", *numbers, "--json")

    assert ran.code == 0
    assert ran.json == {
        "route": "alpha",
        "prices": [
            {"recipient": "+38093…01", "price": "0.91", "currency": "UAH"},
            {"recipient": "+38093…02", "price": "0.91", "currency": "UAH"},
        ],
    }
    assert "0.91" in shell.worker("routes", "prices", "alpha", "+380930000001").out


# -- what they hold


@pytest.mark.slow
def test_what_a_provider_holds_is_listed_without_numbers(
    setup: Setup, shell: Shell, tables: dict[str, dict[str, object]], ledger: Ledger
) -> None:
    runtime = setup.runtime(notify=no_notify, **tables)
    send_at = (datetime.now(UTC) + timedelta(hours=1)).replace(second=0, microsecond=0)
    with ledger.begin() as connection:
        enqueue(connection, [message(number, route="web", send_at=send_at) for number in range(1, 6)])
        note_clock(connection, "web", timedelta(0))
    assert dispatch(runtime, "web", Lane.BULK).messages == 5

    ran = shell.worker("routes", "scheduled", "web", "--json")

    assert ran.code == 0
    assert (len(ran.json["scheduled"]), ran.json["more"]) == (5, False)
    assert {one["recipient"] for one in ran.json["scheduled"]} == {f"+38093…0{n}" for n in range(1, 6)}
    assert {one["send_at"] for one in ran.json["scheduled"]} == {f"{send_at:%Y-%m-%d %H:%M:%S}"}
    few = shell.worker("routes", "scheduled", "web", "--limit", "3", "--json").json
    assert (len(few["scheduled"]), few["more"]) == (3, True)
    shown = shell.worker("routes", "scheduled", "web", "--limit", "3").out
    assert "and more" in shown
    assert "0000001" not in shown


def test_nothing_held_is_said(shell: Shell) -> None:
    assert shell.worker("routes", "scheduled", "web").out == "They hold nothing.\n"


# -- the suppression list


@pytest.mark.slow
def test_their_stop_list_is_put_on_ours(shell: Shell, ledger: Ledger) -> None:
    ran = shell.worker("suppressions", "pull", "web", "--json")

    assert (ran.code, ran.json["route"], ran.json["listed"], ran.json["added"]) == (0, "web", 2, 2)
    with ledger.begin() as connection:
        reason = connection.exec_driver_sql("SELECT DISTINCT reason FROM suppressions").scalar_one()
    assert reason == "on the stop list of route web"
    assert shell.worker("suppressions", "pull", "web").out == "2 are on their list; 0 were not on ours.\n"


# -- who cannot, and who is not there


@pytest.mark.parametrize(
    "words",
    [
        ["routes", "prices", "smart", "+380930000001"],
        ["routes", "scheduled", "alpha"],
        ["suppressions", "pull", "alpha"],
    ],
    ids=" ".join,
)
def test_who_cannot_be_asked_says_so(shell: Shell, words: list[str]) -> None:
    ran = shell.worker(*words)

    assert (ran.code, ran.out) == (1, "")
    assert f"{words[2]}: its provider" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["routes", "balance", "gamma"],
        ["routes", "prices", "gamma", "+380930000001"],
        ["routes", "scheduled", "gamma"],
        ["suppressions", "pull", "gamma"],
    ],
    ids=" ".join,
)
def test_given_a_route_that_is_none_when_asked_for_then_those_there_are_are_told(
    shell: Shell, words: list[str]
) -> None:
    ran = shell.worker(*words)

    assert (ran.code, ran.out) == (1, "")
    assert "no route 'gamma'; the routes are alpha, web, smart" in ran.err


# -- the doctor


def told(settings: Settings) -> dict[str, CheckResult]:
    return {finding.what: finding for finding in examine(settings, patience=0.1)}


@pytest.mark.slow
def test_the_doctor_tells_of_money_and_of_clocks(shell: Shell, settings: Settings, ledger: Ledger) -> None:
    assert not {"balance", "their clock"} & told(settings).keys()
    shell.worker("routes", "balance")
    with ledger.begin() as connection:
        note_clock(connection, "web", timedelta(hours=-2))

    found = told(settings)

    assert (found["balance"].result, found["their clock"].result) == ("warning", "warning")
    assert found["balance"].seen == "12.50 UAH are left at alpha, below its balance_warn_below of 100"
    assert "that of web is 2:00:00 behind ours" in found["their clock"].seen


# -- questions that are refused


@pytest.mark.slow
def test_given_a_question_that_is_refused_when_listed_then_since_when_and_why_are_told(
    shell: Shell, settings: Settings, ledger: Ledger
) -> None:
    with ledger.begin() as connection:
        register_routes(connection, ["alpha", "web", "smart"])
        wait = timedelta(minutes=5)
        note_refused(connection, "web", Question.STATUS, "not_offered: they do not (HTTP 404)", wait, wait)

    routes = {route["name"]: route for route in shell.worker("routes", "list", "--json").json["routes"]}

    assert routes["alpha"]["refused_questions"] == []
    [told] = routes["web"]["refused_questions"]
    assert (told["question"], told["reason"]) == ("status", "not_offered: they do not (HTTP 404)")
    assert datetime.fromisoformat(told["ask_at"]) - datetime.fromisoformat(told["since"]) == wait
    shown = " ".join(shell.worker("routes", "list", COLUMNS="300").out.split())
    assert f"does not answer (status) since {datetime.fromisoformat(told['since']):%Y-%m-%d %H:%M}" in shown
    findings = [one for one in examine(settings, patience=0.2) if one.what == "questions"]
    assert [one.result for one in findings] == ["warning"]
    assert findings[0].seen.startswith("web does not answer (status) since ")
    assert "HTTP 404" in findings[0].seen
    assert "goes on sending" in findings[0].seen

    shell.worker("routes", "resume", "web")

    with ledger.begin() as connection:
        assert not refused_questions(connection, "web")[Question.STATUS].paused
