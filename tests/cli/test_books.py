"""`worker books --check`: what programs and people are told of a sound ledger, and of one that is not."""

import pytest

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.invariants import INVARIANTS
from bulk_dispatch.ledger.transitions import enqueue
from tests.cli.conftest import Shell
from tests.factories import messages


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """A ledger of three messages."""
    with ledger.begin() as connection:
        enqueue(connection, messages(3))
    return ledger


def break_two(ledger: Ledger) -> None:
    """Give two messages tries that nobody told of; the counts by status stay as they are."""
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE messages SET attempts = 7 WHERE client_id <> 'client-2'")


def test_a_sound_ledger_passes_its_check(shell: Shell, three: Ledger) -> None:
    plain = shell.worker("books", "--json").json
    checked = shell.worker("books", "--check", "--json")

    assert checked.code == 0
    assert checked.json == {**plain, "checks": {"invariants": len(INVARIANTS), "broken": []}}


def test_a_broken_invariant_is_told_with_its_rows_and_exit_code_1(shell: Shell, three: Ledger) -> None:
    break_two(three)

    ran = shell.worker("books", "--check", "--json")

    assert (ran.code, ran.json["balanced"]) == (1, False)
    assert ran.json["unbalanced"] == ["attempts_are_told: 2 rows"]
    [broken] = ran.json["checks"]["broken"]
    assert (broken["invariant"], broken["count"]) == ("attempts_are_told", 2)
    assert broken["claim"]
    assert broken["rows"] == [
        {"kind": "message", "name": f"client-{number}", "wrong": "7 tries used up, 0 reports"}
        for number in (1, 3)
    ]


def test_without_the_check_only_the_counts_are_proved(shell: Shell, three: Ledger) -> None:
    break_two(three)

    ran = shell.worker("books", "--json")

    assert (ran.code, ran.json["balanced"]) == (0, True)
    assert "checks" not in ran.json


def test_people_get_a_line_an_invariant_and_the_rows_of_a_broken_one(shell: Shell, three: Ledger) -> None:
    sound = shell.worker("books", "--check")
    break_two(three)
    broken = shell.worker("books", "--check")

    lines = [line.split() for line in sound.out.splitlines()]
    assert all([invariant.name, "ok"] in lines for invariant in INVARIANTS)
    assert "The books balance." in sound.out
    assert "attempts_are_told" in broken.out
    assert "message client-1: 7 tries used up, 0 reports" in broken.out
    assert "do NOT balance" in broken.out
    assert (sound.code, broken.code, broken.err) == (0, 1, "")


def test_rows_that_are_left_out_are_counted(shell: Shell, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(25))
        connection.exec_driver_sql("DELETE FROM journal")

    ran = shell.worker("books", "--check")

    assert "25 rows break it" in ran.out
    assert "and 5 more" in ran.out


class TestASchemaThatIsChanged:
    @pytest.fixture
    def database_url(self, own_database_url: str) -> str:
        """A database of this test's own."""
        return own_database_url

    def test_a_status_that_is_none_is_named_and_not_stumbled_over(self, shell: Shell, three: Ledger) -> None:
        with three.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE messages DROP CONSTRAINT ck_messages_status")
            connection.exec_driver_sql(
                "UPDATE messages SET status = 'lost', due_at = NULL WHERE client_id = 'client-2'"
            )

        ran = shell.worker("books", "--check", "--json")

        assert ran.code == 1
        broken = {finding["invariant"]: finding["rows"] for finding in ran.json["checks"]["broken"]}
        assert broken["messages_speak_our_words"][0]["name"] == "client-2"
        assert "queued: 2 messages, 3 by the events" in ran.json["unbalanced"]
