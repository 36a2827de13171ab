"""A slip of the pen: names that are none are told with those that are near, and everything is asked about."""

import os
import pty

import pytest

from bulk_dispatch.domain.status import Status
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.forks import forks
from tests.ledger.book import Book

SAID = ["--as", "rejected", "--reason", "their list says so", "--by", "anna"]


@pytest.fixture
def shell(setup: Setup) -> Shell:
    """Two routes."""
    return Shell.at(setup.routes(alpha=ROUTE, shop_urgent={**ROUTE, "mode": "async"}), setup.folder)


@pytest.fixture
def campaigns(book: Book) -> Book:
    """Two campaigns of two producers: one queued, one with a message in doubt."""
    book.settle(book.package([message(2, campaign="Winter", producer="crm")]), Status.IN_DOUBT)
    book.enqueue([message(1, campaign="spring sale", producer="shop")])
    return book


SLIPS = [
    ("--campaign", "sprin sale", "no campaign 'sprin sale'; did you mean 'spring sale'?"),
    ("--campaign", "winter", "no campaign 'winter'; did you mean 'Winter'?"),
    ("--campaign", "1234", "no campaign '1234'; the campaigns are Winter, spring sale"),
    ("--producer", "shopp", "no producer 'shopp'; did you mean 'shop'?"),
    ("--route", "alhpa", "no route 'alhpa'; did you mean 'alpha'?"),
    ("--route", "shop-urgent", "no route 'shop-urgent'; did you mean 'shop_urgent'?"),
    ("--route", "zzz", "no route 'zzz'; the routes are alpha, shop_urgent"),
]
COMMANDS = [["cancel"], ["resolve"], ["resolve", *SAID], ["cancel", "--json"], ["resolve", "--json"]]
CASES = [(COMMANDS[at % len(COMMANDS)], *slip) for at, slip in enumerate([*SLIPS, *SLIPS[:3]])]


@pytest.mark.parametrize(("words", "option", "name", "said"), CASES, ids=lambda part: str(part)[:40])
@pytest.mark.slow
def test_given_a_name_that_is_none_when_selected_by_then_it_fails_and_near_names_are_told(
    shell: Shell, campaigns: Book, words: list[str], option: str, name: str, said: str
) -> None:
    ran = shell.worker(*words, option, name, COLUMNS="200")

    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert campaigns.statuses() == {"client-2": "in_doubt", "client-1": "queued"}


@pytest.mark.parametrize(
    "words", [["routes", "pause"], ["routes", "resume"], ["routes", "balance"]], ids=" ".join
)
def test_given_a_route_misspelt_when_named_then_near_names_are_told(shell: Shell, words: list[str]) -> None:
    ran = shell.worker(*words, "Alfa")

    assert (ran.code, ran.out) == (1, "")
    assert "no route 'Alfa'; did you mean 'alpha'?" in ran.err


def test_given_no_campaign_at_all_when_one_is_named_then_that_is_said(shell: Shell) -> None:
    ran = shell.worker("cancel", "--campaign", "spring")

    assert (ran.code, ran.out) == (1, "")
    assert "no campaign 'spring'; there is no campaign yet" in ran.err


def test_given_a_campaign_of_which_nothing_is_left_when_selected_by_then_that_is_no_slip(
    shell: Shell, campaigns: Book
) -> None:
    assert shell.worker("cancel", "--campaign", "spring sale").code == 0
    assert shell.worker("cancel", "--campaign", "spring sale").out == "Nothing was there to cancel.\n"
    assert shell.worker("resolve", "--campaign", "spring sale").out == "Nothing is in doubt.\n"


# -- everything


def at_a_terminal(shell: Shell, *words: str, answer: str) -> tuple[int, str]:
    """Run a command at a terminal, and answer what it asks. Its exit code, and what stood there."""
    ours, theirs = pty.openpty()
    command = forks().start(["worker", *words], shell.env, shell.folder, [theirs] * 3)
    os.close(theirs)
    shown = b""
    try:
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, answer.encode())
        while part := os.read(ours, 1000):
            shown += part
    except OSError:  # it has ended, and nobody holds the other side
        pass
    finally:
        os.close(ours)
    return command.wait(timeout=60), shown.decode()


@pytest.mark.parametrize(
    "words",
    [["cancel", "--all"], ["resolve", "--all", *SAID], ["resolve", "--producer", "crm", *SAID]],
    ids=" ".join,
)
@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_given_a_terminal_when_everything_is_meant_then_a_person_is_asked(
    shell: Shell, campaigns: Book, words: list[str], answer: str, *, done: bool
) -> None:
    before = campaigns.statuses()

    code, shown = at_a_terminal(shell, *words, answer=answer)

    assert "Go on? [y/N]" in " ".join(shown.split())
    assert code == (0 if done else 1)
    assert ("nothing is done" in shown) is not done
    assert (campaigns.statuses() != before) is done


@pytest.mark.parametrize("words", [["cancel", "--all"], ["resolve", "--all", *SAID]], ids=" ".join)
def test_given_no_terminal_when_everything_is_meant_then_it_takes_a_yes(
    shell: Shell, book: Book, words: list[str]
) -> None:
    book.enqueue(messages(2))

    refused = shell.worker(*words, COLUMNS="200")

    assert (refused.code, refused.out) == (2, "")
    assert "there is nobody to ask: say --yes too" in refused.err
    assert set(book.statuses().values()) == {"queued"}
    assert shell.worker(*words, "--yes").code == 0
