"""`worker probe`: tells before it sends, sends as all messages are sent, and says what follows from it."""

import json
from datetime import timedelta

import pytest

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.segments import segments
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger.transitions import Transition, settle
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.sandbox.routes import SANDBOX_ROUTES
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.ledger.book import Book
from tests.waiting import eventually

TO = ("--to", "+380931110001")
BASIC = {"line-break", "signs", "cyrillic", "two-segments", "link"}
CARRIED = {
    "sandbox-sync": BASIC | {"wap", "flash", "validity"},
    "sandbox-async": BASIC | {"wap", "flash", "validity"},
    "sandbox-http": BASIC | {"wap", "flash"},
    "sandbox-webcom": BASIC | {"wap", "flash", "ping", "validity"},
    "sandbox-smartswitch": BASIC | {"ping"},
}
"""What each route carries and is told."""


@pytest.fixture
def shell(setup: Setup) -> Shell:
    """Every account of the sandbox, whose provider nobody can reach."""
    routes = {name: {**own, **ROUTE} for name, own in SANDBOX_ROUTES.items()}
    return Shell.at(setup.routes(**routes), setup.folder)


def handed_over(intake: Intake) -> list[Message]:
    """What waits in the intake."""
    entries = [entry for lane in Lane for entry in intake.read(lane, entries=100, idle=timedelta(0))]
    return [Message.from_dict(raw) for entry in entries for raw in entry.messages if isinstance(raw, dict)]


@pytest.mark.parametrize("route", CARRIED)
def test_given_a_dry_run_then_it_tells_what_the_route_carries_and_sends_nothing(
    shell: Shell, intake: Intake, route: str
) -> None:
    ran = shell.worker("probe", route, *TO, "--dry-run", "--json")

    assert ran.code == 0
    assert (ran.json["route"], ran.json["sent"], ran.json["left_out"]) == (route, 0, {})
    told = {one["name"]: one for one in ran.json["messages"]}
    assert told.keys() == CARRIED[route]
    kinds = PROVIDERS[str(SANDBOX_ROUTES[route]["provider"])].kinds
    assert {Kind(one["kind"]) for one in told.values()} <= set(kinds)
    assert told["two-segments"]["segments_estimated"] == 2
    assert told["cyrillic"]["segments_estimated"] == 1
    assert "+380931110001" not in ran.out + ran.err
    assert handed_over(intake) == []


def test_given_people_then_they_see_it_before_it_is_sent_and_what_to_look_for(shell: Shell) -> None:
    ran = shell.worker("probe", "sandbox-webcom", *TO, "--dry-run", COLUMNS="80")

    assert ran.code == 0
    for said in (
        "9 messages, 10 segments, to +38093…01:",
        "one ⏎ two ⏎ three",
        "1 + 2 & 3 < 4 > 5 % 6 # 7 = 8 ? %41 / \\ ' \" end\n",
        "Look for",
        "set line_break: line-feed",
        "set zone: the time zone of the account",
        "Nothing is sent: --dry-run.",
    ):
        assert said in ran.out
    assert ran.out.index("to +38093…01") < ran.out.index("Look for")


def test_given_nobody_says_yes_then_nothing_is_sent(shell: Shell, intake: Intake) -> None:
    for answer in ("n\n", ""):
        ran = shell.worker("probe", "sandbox-sync", *TO, "--wait", "0", stdin=answer)
        assert ran.code == 1
        assert "two-segments" in ran.out
        assert "Send them?" in ran.err
    assert handed_over(intake) == []


@pytest.mark.parametrize("agreed", [["--yes"], []])
def test_given_a_yes_then_they_go_the_way_of_all_messages(
    shell: Shell, intake: Intake, agreed: list[str]
) -> None:
    ran = shell.worker(
        "probe", "sandbox-sync", *TO, "--sender", "Shop", "--wait", "0", "--json", *agreed, stdin="y\n"
    )

    assert ran.code == 1  # nobody works here, so none of them was taken
    assert {one["status"] for one in ran.json["messages"]} == {"waiting"}
    sent = handed_over(intake)
    assert [one.client_id for one in sent] == [one["client_id"] for one in ran.json["messages"]]
    assert {(one.producer, one.campaign, one.lane, one.route) for one in sent} == {
        ("probe", "probe", Lane.URGENT, "sandbox-sync")
    }
    assert {(one.recipient, one.sender) for one in sent} == {("+380931110001", "Shop")}
    texts = [one.text for one in sent]
    assert any("\n" in text for text in texts)
    assert any(all(sign in text for sign in "+&<>%#\\'\"") for text in texts)
    assert any(segments(text) == 2 for text in texts)
    assert sum(one.valid_until is not None for one in sent) == 1


@pytest.mark.slow
def test_given_the_provider_s_word_then_it_is_told_in_words(shell: Shell, intake: Intake, book: Book) -> None:
    running = shell.start("probe", "sandbox-sync", *TO, "--yes", "--json")
    carried = len(CARRIED["sandbox-sync"])
    eventually(lambda: intake.waiting()[Lane.URGENT] == carried)
    sent = handed_over(intake)
    package = book.package(sent)
    book.rows("UPDATE packages SET account = 'alphasms-xml=main' RETURNING id")
    book.do(settle, [Transition(item.id, package.id, Status.REJECTED, "202") for item in package.items], {})
    told, _ = running.communicate(timeout=60)

    messages = json.loads(told)["messages"]
    assert {(one["status"], one["code"], one["meaning"]) for one in messages} == {
        ("rejected", "202", "bad sender")
    }


def test_given_another_run_then_its_ids_and_texts_are_others(shell: Shell) -> None:
    first, second = (shell.worker("probe", "sandbox-sync", *TO, "--dry-run", "--json").json for _ in "12")

    ids = [{one["client_id"] for one in run["messages"]} for run in (first, second)]
    assert not ids[0] & ids[1]


def test_given_a_route_that_is_none_then_names_that_are_near_are_told(shell: Shell) -> None:
    ran = shell.worker("probe", "sandbox-webcon", *TO, "--yes", COLUMNS="200")

    assert (ran.code, ran.out) == (1, "")  # as of every other command
    assert "no route 'sandbox-webcon'; did you mean 'sandbox-webcom'" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "0931110001"), "recipient: has no country code"),
        ((*TO, "--sender", "Магазин"), "sender: holds U+041C"),
    ],
)
def test_given_what_no_message_can_have_then_it_says_so_and_sends_nothing(
    shell: Shell, intake: Intake, words: tuple[str, ...], said: str
) -> None:
    ran = shell.worker("probe", "sandbox-sync", *words, "--yes")

    assert ran.code == 1
    assert said in ran.err
    assert handed_over(intake) == []


def test_given_a_route_of_a_country_then_its_national_numbers_are_read(setup: Setup) -> None:
    shell = Shell.at(setup.routes(alpha={**ROUTE, "region": "UA"}), setup.folder)

    ran = shell.worker("probe", "alpha", "--to", "093 111 00 01", "--dry-run", "--json")

    assert (ran.code, ran.json["to"]) == (0, "+38093…01")


def test_given_one_that_its_route_refuses_then_it_is_left_out_with_the_reason(setup: Setup) -> None:
    narrow = {**SANDBOX_ROUTES["sandbox-smartswitch"], **ROUTE, "package_bytes": 500}
    shell = Shell.at(setup.routes(alpha=narrow), setup.folder)

    ran = shell.worker("probe", "alpha", *TO, "--dry-run", "--json")

    assert ran.code == 0
    assert ran.json["left_out"].keys() <= BASIC
    assert "must fit into a request" in ran.json["left_out"]["two-segments"]
