"""`worker flows`: who waits, and the brake of one campaign."""

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.monitoring.checks.ledger import check_flows
from tests.cli.conftest import Shell
from tests.factories import message
from tests.ledger.book import Book


@pytest.fixture
def campaigns(book: Book) -> Book:
    book.enqueue(
        [
            message(1, campaign="spring"),
            message(2, campaign="spring"),
            message(3, campaign="autumn", producer="shop"),
            message(4, lane=Lane.URGENT),
        ]
    )
    return book


def test_flows_are_listed_for_people_and_for_programs(shell: Shell, campaigns: Book) -> None:
    listed = shell.worker("flows", "list", "--json").json["flows"]

    told = [(flow["campaign"], flow["producer"], flow["lane"], flow["queued"]) for flow in listed]
    assert told == [("", "", "urgent", 1), ("spring", "", "bulk", 2), ("autumn", "shop", "bulk", 1)]
    assert listed[0].keys() == {
        *("route", "lane", "producer", "campaign", "queued", "weight", "paused_at", "reason", "claimed_at")
    }
    shown = shell.worker("flows", "list", COLUMNS="80").out
    assert "spring" in shown
    assert "(none)" in shown


def test_an_empty_queue_is_said(shell: Shell) -> None:
    assert shell.worker("flows", "list").out == "Nothing is queued or paused.\n"
    assert shell.worker("flows", "list", "--json").json == {"flows": []}


def test_a_campaign_is_paused_and_resumed(shell: Shell, campaigns: Book) -> None:
    paused = shell.worker("flows", "pause", "--campaign", "spring", "--reason", "wrong price")
    assert (paused.code, paused.out) == (0, "campaign spring is paused, with 2 messages queued.\n")
    assert [item.campaign for item in campaigns.claim().package.items] == ["autumn"]  # type: ignore[union-attr]
    assert shell.worker("flows", "list", COLUMNS="200").out.count("wrong price") == 1

    resumed = shell.worker("flows", "resume", "--campaign", "spring", "--json")
    assert resumed.json == {"campaign": "spring", "state": "active", "resumed": 2, "queued": 2}
    assert [item.campaign for item in campaigns.claim().package.items] == ["spring"] * 2  # type: ignore[union-attr]
    again = shell.worker("flows", "resume", "--campaign", "spring")
    assert (again.code, again.out) == (0, "campaign spring was not paused.\n")


def test_a_campaign_that_has_nothing_queued_any_more_is_told_once(shell: Shell, campaigns: Book) -> None:
    shell.worker("flows", "pause", "--campaign", "spring", "--reason", "wrong price")
    campaigns.cancel(["client-1", "client-2"])

    assert shell.worker("flows", "list", COLUMNS="200").out.count("wrong price") == 1


def test_what_is_of_no_campaign_and_a_producer_s_can_be_paused(shell: Shell, campaigns: Book) -> None:
    assert shell.worker("flows", "pause", "--campaign", "", "--json").json["queued"] == 1
    of_shop = shell.worker("flows", "pause", "--campaign", "autumn", "--producer", "shop", "--route", "alpha")
    assert of_shop.out == "campaign autumn of shop on alpha is paused, with 1 message queued.\n"


def test_a_weight_is_given(shell: Shell, campaigns: Book) -> None:
    ran = shell.worker("flows", "weight", "--campaign", "spring", "--turns", "3")

    assert (ran.code, ran.out) == (0, "campaign spring takes 3 turns for each one of others.\n")
    weights = {
        flow["campaign"]: flow["weight"] for flow in shell.worker("flows", "list", "--json").json["flows"]
    }
    assert weights == {"": 1, "spring": 3, "autumn": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--campaign", "sprin"], "no campaign 'sprin'; did you mean 'spring'?"),
        (["--campaign", "autumn"], 'campaign autumn has no messages queued; it is --producer "shop"'),
        (["--campaign", "spring", "--route", "alhpa"], "no route 'alhpa'; did you mean 'alpha'?"),
    ],
)
@pytest.mark.parametrize(
    "command", [["pause"], ["resume"], ["weight", "--turns", "2"]], ids=lambda one: one[0]
)
def test_a_slip_changes_nothing(
    shell: Shell, campaigns: Book, command: list[str], words: list[str], said: str
) -> None:
    ran = shell.worker("flows", *command, *words, COLUMNS="200")

    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert campaigns.one("SELECT count(*) FROM flows") == 0


@pytest.mark.parametrize("turns", ["0", "1001", "many"])
def test_a_weight_that_is_none_is_wrong_usage(shell: Shell, campaigns: Book, turns: str) -> None:
    ran = shell.worker("flows", "weight", "--campaign", "spring", "--turns", turns)

    assert ran.code == 2
    assert "--turns" in ran.err


def test_the_doctor_tells_what_waits_paused(shell: Shell, campaigns: Book, ledger: Ledger) -> None:
    assert list(check_flows(ledger)) == []
    shell.worker("flows", "pause", "--campaign", "spring", "--reason", "wrong price")

    [told] = check_flows(ledger)

    assert (told.what, told.result) == ("flows", "warning")
    assert told.seen.startswith("2 messages of campaign spring wait on alpha, paused since ")
    assert told.seen.endswith(': wrong price; to let them go: `worker flows resume --campaign "spring"`')
