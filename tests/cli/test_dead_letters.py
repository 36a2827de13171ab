"""`worker dead-letters`: seen without what is about a person, put back, or dropped; nothing by a slip."""

from collections.abc import Sequence

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import DeadLetter, Intake
from tests.cli.conftest import Shell

TEXT, NUMBER = "Your code is 271828", "+380939990009"


def raw(number: int, **fields: object) -> dict[str, object]:
    """A message as plain values."""
    return {"client_id": f"client-{number}", "recipient": NUMBER, "sender": "Shop", "text": TEXT, **fields}


UNREADABLE = {"task": "bulk_dispatch.enqeue", "content_type": "application/json", "body": "}{"}
MISNAMED: dict[str, object] = {
    "task": "bulk_dispatch.enqeue",
    "content_type": "application/json",
    "body": [[[raw(4), raw(5)]], {}, None],
}
EXPIRED = [raw(6), "no message", raw(7)]


def bury(intake: Intake, *letters: tuple[str, object], lane: Lane = Lane.BULK) -> Sequence[str]:
    """Dead letters, by reason and content; their ids."""
    for reason, content in letters:
        intake.bury(DeadLetter.about(lane, reason, content))
    return [letter_id for letter_id, _ in intake.read_dead()]


# -- list and show


def test_letters_are_counted_by_reason_and_listed_oldest_first(shell: Shell, intake: Intake) -> None:
    ids = bury(
        intake, ("sender: too long", raw(1)), ("route: nobody knew it", raw(2)), ("sender: too long", raw(3))
    )

    told = shell.worker("dead-letters", "list", "--json").json
    assert told["total"] == 3
    assert told["reasons"] == {"sender: too long": 2, "route: nobody knew it": 1}
    assert [one["id"] for one in told["letters"]] == list(ids)
    assert told["letters"][0].keys() == {"id", "at", "lane", "reason"}

    shown = shell.worker("dead-letters", "list", "--limit", "2")
    assert "and 1 more" in shown.out
    assert TEXT not in shown.out
    assert shell.worker("dead-letters", "list", "--reason", "ROUTE", "--json").json["total"] == 1
    assert shell.worker("dead-letters", "list", "--lane", "urgent", "--json").json["total"] == 0


def test_none_are_said_to_be_none(shell: Shell, intake: Intake) -> None:
    assert shell.worker("dead-letters", "list").out == "There are no dead letters.\n"


def test_what_is_about_a_person_is_shown_on_request_alone(shell: Shell, intake: Intake) -> None:
    [letter] = bury(intake, ("sender: too long", raw(1, campaign="spring")))

    shown = shell.worker("dead-letters", "show", letter)
    assert shown.code == 0
    for words in ("sender: too long", "client-1", "spring", "recipient, text"):
        assert words in shown.out
    for told in (shown.out, shell.worker("dead-letters", "show", letter, "--json").out):
        assert TEXT not in told
        assert NUMBER not in told
    assert shell.worker("dead-letters", "show", letter, "--content", "--json").json["messages"] == [
        raw(1, campaign="spring")
    ]


@pytest.mark.parametrize("command", ["show", "requeue", "drop"])
def test_an_id_of_none_is_told(shell: Shell, intake: Intake, command: str) -> None:
    bury(intake, ("sender: too long", raw(1)))

    ran = shell.worker("dead-letters", command, "1-1")

    assert ran.code == 1
    assert "1-1" in ran.err
    assert intake.dead_letters() == 1


# -- requeue


def test_messages_are_put_back_whatever_they_came_in(shell: Shell, intake: Intake) -> None:
    bury(
        intake, ("route: nobody knew it", raw(1)), ("task: no such", MISNAMED), ("task: it expired", EXPIRED)
    )
    bury(intake, ("a lane of its own", raw(8, lane="urgent")))
    [*_, unreadable] = bury(intake, ("task: cannot be read", UNREADABLE))

    ran = shell.worker("dead-letters", "requeue", "--all", "--yes", "--json")

    assert ran.json == {"messages": 7, "kept": 1}
    assert intake.waiting() == {Lane.BULK: 6, Lane.URGENT: 1}
    assert [letter_id for letter_id, _ in intake.read_dead()] == [unreadable]


def test_only_what_was_selected_is_put_back(shell: Shell, intake: Intake) -> None:
    ids = bury(
        intake, ("sender: too long", raw(1)), ("route: nobody knew it", raw(2)), ("sender: too long", raw(3))
    )

    assert shell.worker("dead-letters", "requeue", ids[1], "--json").json["messages"] == 1
    assert shell.worker("dead-letters", "requeue", "--reason", "sender", "--json").json["messages"] == 2
    assert intake.dead_letters() == 0


# -- drop


@pytest.mark.slow
def test_letters_are_dropped(shell: Shell, intake: Intake) -> None:
    ids = bury(intake, *((f"reason {number % 2}", raw(number)) for number in range(1100)))

    assert shell.worker("dead-letters", "drop", ids[0], ids[1], "--json").json == {"dropped": 2}
    assert shell.worker("dead-letters", "drop", "--reason", "reason 1", "--json").json == {"dropped": 549}
    assert intake.dead_letters() == 549


@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_everything_is_meant_or_nothing_is_done(shell: Shell, intake: Intake, command: str) -> None:
    bury(intake, ("sender: too long", raw(1)))

    for words in ((), ("--all",), ("--all", "--reason", "sender", "--yes")):
        ran = shell.worker("dead-letters", command, *words)
        assert ran.code == 2, words

    assert intake.dead_letters() == 1
    assert intake.waiting()[Lane.BULK] == 0
