"""`worker suppressions`: numbers that must get nothing, one by one and from files."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.campaign.source import UnreadableError
from bulk_dispatch.cli.suppressions_file import RefusedEntry, entries
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.numbers import phone_number
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.migrate import downgrade, head
from bulk_dispatch.ledger.suppressions import Listed, find, put
from bulk_dispatch.stages.cancel import Fate
from bulk_dispatch.stages.dispatch import dispatch
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.ledger.book import Book

SPRING = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NOTHING: dict[str, object] = {
    ("suppressed" if fate is Fate.CANCELLED_QUEUED else fate.value): 0
    for fate in Fate
    if fate is not Fate.CANCELLED_BEFORE
} | {"stopped": ""}


def number(which: int) -> str:
    return message(which).recipient


# -- one by one


@pytest.mark.slow
def test_a_number_is_added_and_what_is_queued_for_it_is_suppressed(shell: Shell, book: Book) -> None:
    book.enqueue(messages(2))

    ran = shell.worker("suppressions", "add", "+380 93 0000001", "--reason", "asked", "--json")

    assert (ran.code, ran.json) == (0, {**NOTHING, "added": 1, "known": 0, "suppressed": 1})
    assert book.statuses() == {"client-1": "suppressed", "client-2": "queued"}
    last = shell.worker("status", "client-1", "--json").json["events"][-1]
    assert (last["to_status"], last["note"]) == ("suppressed", "put on the suppression list")
    again = shell.worker("suppressions", "add", "+380930000001", "+380930000001")
    assert (again.code, again.out) == (0, "0 added; 1 on it already.\n")


def test_what_a_provider_holds_for_a_number_is_cancelled_there(
    setup: Setup, book: Book, sandbox: str
) -> None:
    holds: dict[str, object] = {"url": sandbox, "schedule_ahead": "2h"}
    runtime = setup.runtime(alpha=holds)
    soon = datetime.now(UTC) + timedelta(hours=1)
    book.enqueue(messages(2, send_at=soon))
    assert dispatch(runtime, "alpha", Lane.BULK).messages == 2
    shell = Shell.at(setup.routes(alpha=holds), setup.folder)

    ran = shell.worker("suppressions", "add", number(1))

    assert ran.code == 0
    assert ran.out.startswith("1 added.\n")
    assert "dropped by the provider" in ran.out
    assert book.statuses() == {"client-1": "cancelled", "client-2": "sent"}


def test_a_provider_that_does_not_answer_is_told_and_the_number_is_on_the_list(
    shell: Shell, book: Book
) -> None:
    book.settle(book.package(messages(1)), Status.SENT)

    ran = shell.worker("suppressions", "add", number(1), "--json")

    assert (ran.code, ran.json["added"], ran.json["unanswered"]) == (1, 1, 1)
    assert shell.worker("suppressions", "check", number(1)).code == 0


def test_a_number_goes_on_the_list_also_where_nobody_can_be_asked(setup: Setup, book: Book) -> None:
    settings = setup.routes(alpha=ROUTE)
    settings.routes.unlink()

    ran = Shell.at(settings, setup.folder).worker("suppressions", "add", number(1), "--json")

    assert (ran.code, ran.json["added"]) == (1, 1)
    assert "routes" in ran.json["stopped"]
    assert "The numbers are on the list" in ran.err
    assert book.do(find, number(1)) is not None


def test_a_number_is_removed_and_has_messages_again(shell: Shell, book: Book) -> None:
    book.suppress([number(1)])

    assert shell.worker("suppressions", "remove", number(1), "--json").json == {"removed": 1}

    book.enqueue(messages(1))
    assert book.statuses() == {"client-1": "queued"}


@pytest.mark.slow
def test_one_can_ask_whether_a_number_is_on_the_list(shell: Shell, book: Book) -> None:
    book.do(put, [Listed(number(1), SPRING, "asked [by] phone"), Listed(number(2), SPRING)])

    first = shell.worker("suppressions", "check", "+380 93 0000001")
    assert (first.code, first.out) == (
        0,
        "+38093…01 is on the suppression list since 2026-03-01 12:30 UTC: asked [by] phone\n",
    )
    assert "no reason was given" in shell.worker("suppressions", "check", number(2)).out
    third = shell.worker("suppressions", "check", number(3))
    assert (third.code, third.out) == (1, "+38093…03 is not on the suppression list.\n")
    assert shell.worker("suppressions", "check", number(1), "--json").json == {
        "recipient": "+38093…01",
        "added_at": "2026-03-01 12:30:00+00:00",
        "reason": "asked [by] phone",
        "listed": True,
    }
    absent = shell.worker("suppressions", "check", number(3), "--json")
    assert (absent.code, absent.json["listed"], absent.json["added_at"]) == (1, False, None)


def test_what_is_no_number_is_refused_without_being_shown(shell: Shell) -> None:
    for words in (["add"], ["check"], ["remove"]):
        ran = shell.worker("suppressions", *words, "+38093000000x")
        assert (ran.code, ran.out) == (1, "")
        assert "0000000" not in ran.err


# -- the list


def test_the_list_is_shown_masked_the_latest_first(shell: Shell, book: Book) -> None:
    assert shell.worker("suppressions", "list").out == "The suppression list is empty.\n"
    book.do(put, [Listed(number(n), SPRING + timedelta(days=n), f"reason {n}") for n in range(1, 5)])

    shown = shell.worker("suppressions", "list", "--limit", "3").out

    assert "4 on the suppression list" in shown
    assert "and 1 more" in shown
    assert shown.index("reason 4") < shown.index("reason 3")
    assert number(4) not in shown
    listed = shell.worker("suppressions", "list", "--limit", "1", "--json").json
    assert (listed["count"], listed["more"]) == (4, True)
    assert listed["numbers"] == [
        {"recipient": "+38093…04", "added_at": "2026-03-05 12:30:00+00:00", "reason": "reason 4"}
    ]
    assert len(shell.worker("suppressions", "list", "--limit", "0", "--json").json["numbers"]) == 4


def test_what_is_exported_can_be_imported(shell: Shell, book: Book) -> None:
    book.do(put, [Listed(number(1), SPRING, 'said "no", twice'), Listed(number(2), SPRING)])

    exported = shell.worker("suppressions", "export").out

    assert exported == (
        "recipient,added_at,reason\n"
        '+380930000001,2026-03-01T12:30:00+00:00,"said ""no"", twice"\n'
        "+380930000002,2026-03-01T12:30:00+00:00,\n"
    )
    whole = shell.worker("suppressions", "export", "--json").json
    assert (whole["count"], whole["numbers"][0]["recipient"]) == (2, "+380930000001")
    book.rows("TRUNCATE suppressions")
    back = shell.worker("suppressions", "import", "-", "--json", stdin=exported)
    assert (back.code, back.json["added"]) == (0, 2)
    assert shell.worker("suppressions", "export").out.splitlines()[:2] == exported.splitlines()[:2]


# -- a file


def test_a_file_is_imported_and_what_is_queued_for_the_whole_list_is_suppressed(
    shell: Shell, book: Book
) -> None:
    book.enqueue(messages(4))
    book.suppress([number(4)])
    (shell.folder / "optouts.csv").write_text(
        "\ufeffName;Recipient;REASON\nA;+380 93 000 00 01;by SMS\n\nB;nobody;x\nC;+380930000002;\n", "utf-8"
    )

    ran = shell.worker("suppressions", "import", "optouts.csv", "--json")

    assert ran.code == 1
    errors = ran.json["errors"]
    assert len(errors) == 1
    assert errors[0].startswith("line 4: recipient")
    assert ran.json == {
        **NOTHING,
        "read": 2,
        "added": 2,
        "known": 0,
        "refused": 1,
        "errors": errors,
        "left_out": ["name"],
        "suppressed": 3,
    }
    assert "columns left out: name" in ran.err
    assert list(book.statuses().values()) == ["suppressed", "suppressed", "queued", "suppressed"]
    reasons = book.rows("SELECT reason FROM suppressions ORDER BY recipient")
    assert [row.reason for row in reasons] == ["by SMS", "imported from optouts.csv", None]


def test_a_list_without_a_heading_comes_from_standard_input(shell: Shell, book: Book) -> None:
    ran = shell.worker("suppressions", "import", "-", stdin=f"{number(1)}\r\n{number(2)}\r\n{number(1)}")

    assert (ran.code, ran.out) == (0, "3 read, 2 of them not on the list; 0 lines refused.\n")


def test_many_bad_lines_are_counted_and_the_first_ones_named(shell: Shell, book: Book) -> None:
    lines = "".join(f"{number(n)}\nnobody\n" for n in range(1, 16))

    ran = shell.worker("suppressions", "import", "-", stdin=lines)

    assert ran.code == 1
    assert ran.err.count("line ") == 10
    assert "and 5 lines more" in ran.err
    assert book.one("SELECT count(*) FROM suppressions") == 15


def test_a_file_of_another_kind_is_named_for_what_it_is(shell: Shell, book: Book) -> None:
    (shell.folder / "list.csv").write_bytes("recipient\n+380930000001\n".encode("utf-16"))

    ran = shell.worker("suppressions", "import", "list.csv")

    assert (ran.code, "list.csv: is text in UTF-16: save it in UTF-8" in ran.err) == (1, True)


def test_a_file_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    ran = shell.worker("suppressions", "import", "nowhere.csv", COLUMNS="200")

    assert (ran.code, ran.out) == (2, "")
    assert "No such file" in ran.err


def read(*lines: str) -> list[Listed | RefusedEntry]:
    return list(entries((f"{line}\n" for line in lines), phone_number, "by file"))


def test_nothing_is_nothing() -> None:
    assert read() == read("", "  ", ";;;") == []


@pytest.mark.parametrize(
    "lines",
    [
        ["recipient,reason,added_at", "+380930000001,asked,2026-03-01T12:30:00Z"],
        ["\ufeffRecipient ; reason ; added_at", "+380930000001; asked ;2026-03-01T14:30+02:00"],
        ["added_at\treason\trecipient", "2026-03-01T12:30:00+00:00\tasked\t+380930000001"],
        ["recipient|city|reason|added_at", '"+380930000001"|Kyiv|"asked"|2026-03-01T12:30Z'],
    ],
    ids=["commas", "semicolons and blanks", "tabs", "bars and other columns"],
)
def test_a_heading_tells_the_columns(lines: Sequence[str]) -> None:
    assert read(*lines) == [Listed("+380930000001", SPRING, "asked")]


def test_a_line_that_says_no_reason_has_that_of_the_file() -> None:
    assert read("recipient,reason", "+380930000001") == [Listed("+380930000001", None, "by file")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nobody,", "recipient"),
        (",asked", "recipient: must not be empty"),
        ('"+380930000001,x', "recipient"),
        ("+380930000001,x,yesterday", "added_at"),
        ("+380930000001,\udcff", "is not UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_takes_no_other_along(line: str, problem: str) -> None:
    first, second = read("recipient,reason,added_at", line, "+380930000002")

    assert isinstance(first, RefusedEntry)
    assert (first.line, first.problem.startswith(problem)) == (2, True)
    assert second == Listed("+380930000002", None, "by file")


def test_a_reason_fits_on_a_line() -> None:
    [one] = read("recipient,reason", f"+380930000001,a\x1b  b{'c' * 300}")

    assert isinstance(one, Listed)
    assert (one.reason[:4], len(one.reason)) == ("a bc", 200)


def test_a_heading_that_names_no_recipient_ends_it(shell: Shell, book: Book) -> None:
    with pytest.raises(UnreadableError, match="names no recipient"):
        read("phone;name", "+380930000001;Anna")

    ran = shell.worker("suppressions", "import", "-", "--json", stdin="phone,name\n+380930000001,Anna\n")
    assert (ran.code, ran.json["read"]) == (1, 0)
    assert "names no recipient" in ran.err


# -- the migration


class TestAnUpgrade:
    @pytest.fixture
    def database_url(self, own_database_url: str) -> str:
        """A database of this test's own, whose schema it changes."""
        return own_database_url

    @pytest.mark.slow
    def test_an_upgrade_tells_what_became_of_the_list(self, shell: Shell, book: Book) -> None:
        book.suppress(["+380931110001", "+3800931110001"])
        downgrade(book.ledger, "0005")

        ran = shell.worker("db", "upgrade", "--json")

        [sentence] = ran.json["told"]
        assert (ran.code, ran.json["before"], ran.json["now"]) == (0, "0005", head())
        assert "2 rows" in sentence
        assert "1110001" not in ran.out + ran.err
        assert sentence in ran.err
        assert json.loads(shell.worker("db", "upgrade", "--json").out)["told"] == []
