"""What people see fits a terminal of 80 columns, and no word or number of it is cut up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.intake import DeadLetter, Intake
from bulk_dispatch.ledger.provider_account import note_balance
from bulk_dispatch.ledger.routes import register_routes, stop_route
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import Transition, enqueue, settle
from bulk_dispatch.ledger.transitions.transition import apply
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.providers.code_texts import in_words, meaning
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message
from tests.ledger.book import LOOK, Book

WIDE = 80
LONG = "3b0c1f2e4d5a69788796a5b4c3d2e1f0"  # an id as uuid4().hex makes it
REASON = "10 failures left doubt in a row, and no package between them went through: look, then resume"


def happened(book: Book, one: Message, status: Status, code: str) -> None:
    """A message that left, and what the provider said."""
    package = book.package([one])
    [item] = package.items
    move = Transition(item.id, package.id, status, code, "55120341")
    book.do(
        settle, [move], {package.id: LOOK}, reason="the request left and no answer came; they may have it"
    )


def ended(book: Book, client_id: str, status: Status, code: str) -> None:
    """The end of a message that was sent."""
    row = book.rows("SELECT id, package_id FROM messages WHERE client_id = :id", id=client_id)[0]
    book.do(apply, EventType.REPORT, [Transition(row.id, row.package_id, status, code)])


@pytest.fixture
def shell(setup: Setup, book: Book, intake: Intake) -> Shell:
    """An installation in which much has happened, seen at a terminal of 80 columns."""
    tables: dict[str, dict[str, object]] = {
        "sandbox-alphasms-async": {**ROUTE, "mode": "async"},
        "sandbox-smartswitch": {**ROUTE, "provider": "smartswitch", "login": "a", "password": "b", "key": ""},
    }
    settings = setup.routes(**tables)
    route = "sandbox-alphasms-async"
    with book.ledger.begin() as connection:
        register_routes(connection, list(tables))
        stop_route(connection, "sandbox-smartswitch", REASON)
        note_balance(connection, route, Decimal("1234567.89"), "UAH")
        suppress(
            connection, ["+380931110009"], "asked by phone, and wrote a letter about it a week later, too"
        )
    happened(book, message(1, client_id=LONG, route=route, campaign="spring"), Status.REJECTED, "202")
    happened(book, message(2, route=route), Status.SENT, "1")
    happened(book, message(3, route=route, producer="crm-of-the-shop"), Status.IN_DOUBT, "208")
    ended(book, "client-2", Status.UNDELIVERABLE, "105")
    book.rows("UPDATE packages SET account = 'alphasms-xml@gate.example:1a2b3c' RETURNING id")
    with book.ledger.begin() as connection:
        later = datetime.now(UTC) + timedelta(hours=1)
        enqueue(connection, [message(4, route=route, send_at=later)])
        enqueue(connection, [message(4, route=route, text="Other", sender="Other")])
    intake.bury(DeadLetter.about(Lane.BULK, "text: is missing", {}))
    found = Shell.at(settings, setup.folder)
    return Shell({**found.env, "COLUMNS": str(WIDE)}, found.folder)


TOLD = [
    (["status", LONG], [LONG, "202 bad sender", "sandbox-alphasms-async", "package"]),
    (["status", "client-2"], ["client-2", "105 absent subscriber", "undeliverable", "1 accepted"]),
    (["books"], ["undeliverable", "105 absent subscriber", "202 bad sender", "in_doubt"]),
    (["books", "--check"], ["histories_hang_together"]),
    (["resolve"], ["client-3", "crm-of-the-shop", "208 id used before", "sandbox-alphasms-async", "since"]),
    (["routes", "list"], ["sandbox-smartswitch", "stopped", "1234567.89 UAH", "between", "alphasms-xml"]),
    (["routes", "balance"], ["sandbox-smartswitch", "cannot be asked"]),
    (["suppressions", "list"], ["+38093…09", "wrote a letter"]),
    (["conflicts", "list"], ["client-4", "sender, text"]),
    (["doctor"], ["dead letters", "sandbox-smartswitch is stopped", "no Celery worker answers"]),
    (["reload", "--wait", "1"], []),
    (["cancel", "--all", "--yes"], ["withdrawn before they left"]),
]


@pytest.mark.parametrize(("words", "told"), TOLD, ids=[" ".join(words)[:30] for words, _ in TOLD])
def test_given_80_columns_when_a_command_tells_then_it_fits_and_no_word_is_cut(
    shell: Shell, words: list[str], told: list[str]
) -> None:
    ran = shell.worker(*words)

    assert [line for line in ran.out.splitlines() if len(line) > WIDE and len(line.split()) > 1] == []
    assert "…\n" not in ran.out
    whole = {word for line in ran.out.splitlines() for word in line.split()}
    assert {word for one in told for word in one.split()} <= whole | {word.strip(";:,") for word in whole}


@pytest.mark.parametrize("width", [20, 40, 60, 250])
def test_given_any_width_when_a_list_is_told_then_numbers_and_ids_stay_whole(
    shell: Shell, width: int
) -> None:
    told = {
        name: shell.worker(*name.split(), COLUMNS=str(width)).out.split()
        for name in ("resolve", "routes list")
    }

    assert {"client-3", "crm-of-the-shop", "sandbox-alphasms-async"} <= set(told["resolve"])
    assert {"sandbox-smartswitch", "1234567.89", "stopped"} <= set(told["routes list"])


# -- codes in words


@pytest.mark.parametrize(
    ("provider", "code", "target", "said"),
    [
        ("alphasms-xml", "105", "undeliverable", "105 absent subscriber"),
        ("alphasms-xml", "202", "rejected", "202 bad sender"),
        ("alphasms-xml", "202", "queued", "202 bad key or login"),  # of the whole request
        ("alphasms-http", "5", "sent", "5 out of reach"),
        ("alphasms-http", "not found", "sent", "not found"),
        ("webcom-xml", "partly_deliver", "unconfirmed", "partly_deliver sent, and no receipt ever came"),
        ("smartswitch", "undeliverable", "undeliverable", "undeliverable"),
        ("pigeons", "105", "undeliverable", "105"),
        (None, "105", None, "105"),
        ("alphasms-xml", None, "sent", ""),
        ("alphasms-xml", "999", "sent", "999"),
    ],
)
def test_given_a_code_when_people_are_told_then_its_words_stand_beside_it(
    provider: str | None, code: str | None, target: str | None, said: str
) -> None:
    assert in_words(provider, code, target) == said


def test_given_a_number_that_a_dialect_knows_then_it_has_words() -> None:
    from bulk_dispatch.providers.alphasms.codes import DELIVERY, REFUSALS, REPORTED, SUBMITTED, WITHDRAWN
    from bulk_dispatch.providers.alphasms.http_codes import STATES

    xml = {*DELIVERY, *SUBMITTED.table, *REPORTED.table, *WITHDRAWN.table}
    assert [code for code in xml if not meaning("alphasms-xml", code)] == []
    assert [code for code in REFUSALS if not meaning("alphasms-xml", code, Status.QUEUED)] == []
    assert [code for code in STATES if not meaning("alphasms-http", code)] == []


def test_given_json_when_status_and_books_are_asked_then_code_and_words_are_apart(shell: Shell) -> None:
    event = shell.worker("status", "client-2", "--json").json["events"][-1]
    ends = shell.worker("books", "--json").json["by_code"]

    assert (event["code"], event["meaning"]) == ("105", "absent subscriber")
    assert {(one["status"], one["code"], one["meaning"], one["count"]) for one in ends} == {
        ("rejected", "202", "bad sender", 1),
        ("undeliverable", "105", "absent subscriber", 1),
    }
    assert {one["provider"] for one in ends} <= set(PROVIDERS)


def test_given_an_account_that_got_a_name_then_its_codes_keep_their_words_and_are_counted_as_one(
    shell: Shell, book: Book
) -> None:
    route = "sandbox-alphasms-async"
    happened(book, message(5, route=route), Status.SENT, "1")
    ended(book, "client-5", Status.UNDELIVERABLE, "105")
    happened(book, message(6, route=route), Status.IN_DOUBT, "208")
    named = RouteConfig(name=route, provider="alphasms-xml", url="http://127.0.0.1:9", account="main")
    book.rows("UPDATE packages SET account = :id WHERE account IS NULL RETURNING id", id=named.account_id)

    ends = shell.worker("books", "--json").json["by_code"]
    event = shell.worker("status", "client-5", "--json").json["events"][-1]
    doubted = shell.worker("resolve", "--json").json["messages"]

    absent = [(one["provider"], one["meaning"], one["count"]) for one in ends if one["code"] == "105"]
    assert absent == [("alphasms-xml", "absent subscriber", 2)]
    assert (event["provider"], event["meaning"]) == ("alphasms-xml", "absent subscriber")
    assert [one["provider"] for one in doubted] == ["alphasms-xml"] * 2
    assert shell.worker("resolve", COLUMNS="250").out.count("208 id used before") == 2
