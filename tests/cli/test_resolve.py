"""`worker resolve`: what is in doubt is told with what is known, and settled by a person's word."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Connection, Ledger
from bulk_dispatch.ledger.transitions import Transition, settle
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.messaging.inspection import sees
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.ledger.book import LOOK, ONE_BY_ONE, Book

HELD: dict[str, object] = {**ROUTE, "in_doubt": "hold"}
ASKED: dict[str, object] = {**ROUTE, "mode": "async", "key": "hush-4711", "reference_offset": 1_000_000}
SAID = ["--reason", "their list says so", "--by", "anna"]


@pytest.fixture
def shell(setup: Setup) -> Shell:
    """Two routes: alpha holds what is in doubt, beta asks about it."""
    return Shell.at(setup.routes(alpha=HELD, beta=ASKED), setup.folder)


def doubted(book: Book, offered: Sequence[Message], reason: str = "lost: no answer came") -> None:
    """A package of messages in doubt."""
    package = book.package(offered)
    moves = [Transition(item.id, package.id, Status.IN_DOUBT) for item in package.items]
    book.do(settle, moves, {package.id: LOOK}, reason=reason)


def collided(book: Book, offered: Sequence[Message]) -> None:
    """A package of messages whose ids somebody else had used."""
    package = book.package(offered)
    held = [Transition(item.id, package.id, Status.IN_DOUBT, code="208") for item in package.items]
    book.do(settle, [], {package.id: LOOK}, collided=held)


def takes_its_time(connection: Connection) -> None:
    """Let this transaction stand idle for as long as the test needs."""
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def note(book: Book, client_id: str) -> Any:
    return book.one(
        """
        SELECT e.note FROM events e JOIN messages m ON m.id = e.message_id
        WHERE m.client_id = :id ORDER BY e.id DESC LIMIT 1
        """,
        id=client_id,
    )


# -- the list --------------------------------------------------------------------------------------------


def test_the_list_tells_what_is_known_and_nobody_s_number(shell: Shell, book: Book) -> None:
    doubted(book, [message(1, campaign="spring"), message(2, in_doubt="fail")])
    doubted(book, [message(3, route="beta", in_doubt="fail")])

    ran = shell.worker("resolve", "--json")

    assert ran.code == 0
    assert (ran.json["total"], ran.json["by_route"]) == (3, {"alpha": 2, "beta": 1})
    first, second, third = ran.json["messages"]
    assert first.keys() == {
        *("client_id", "producer", "route", "recipient", "campaign", "package_id", "account", "provider"),
        *(
            "reference",
            "provider_message_id",
            "since",
            "asked",
            "code",
            "reason",
            "attempts",
            "policy",
            "policy_of",
        ),
        "collided",
    }
    assert (first["client_id"], first["recipient"], first["campaign"]) == (
        "client-1",
        "+38093…01",
        "spring",
    )
    assert (first["asked"], first["attempts"], first["reason"]) == (0, 0, "lost: no answer came")
    assert (first["policy"], first["policy_of"]) == ("hold", "route")
    assert (second["policy"], second["policy_of"]) == ("fail", "message")
    assert (third["policy"], third["policy_of"]) == ("ask", "route")
    assert third["reference"] == 1_000_000 + book.one(
        "SELECT reference FROM messages WHERE client_id = 'client-3'"
    )


def test_people_see_no_number_no_text_and_no_secret(shell: Shell, book: Book) -> None:
    doubted(book, [message(1), message(2, route="alpha", client_id="[/b] order-2")])
    doubted(book, [message(3, route="beta")])

    for words in (["resolve"], ["resolve", "--json"]):
        ran = shell.worker(*words, COLUMNS="250")
        assert ran.code == 0
        for hidden in ("0000001", "0000003", "is ready", "hush-4711"):
            assert hidden not in ran.out + ran.err
        assert "[/b] order-2" in ran.out
        assert "lost: no answer came" in ran.out


@pytest.mark.slow
def test_the_list_is_bounded_and_says_how_many_more(shell: Shell, book: Book) -> None:
    doubted(book, messages(53))

    assert "and 3 more" in shell.worker("resolve").out
    assert "and 51 more" in shell.worker("resolve", "--limit", "2").out
    assert "more" not in shell.worker("resolve", "--limit", "0").out
    counted = [
        (ran.json["total"], len(ran.json["messages"]))
        for words in ([], ["--limit", "2"], ["--limit", "0"])
        for ran in [shell.worker("resolve", "--json", *words)]
    ]
    assert counted == [(53, 50), (53, 2), (53, 53)]


def test_the_list_can_be_narrowed(shell: Shell, book: Book) -> None:
    doubted(book, [message(1, campaign="spring"), message(2)])
    doubted(book, [message(3, route="beta")])

    def listed(*words: str) -> list[str]:
        ran = shell.worker("resolve", "--json", *words)
        return [one["client_id"] for one in ran.json["messages"]]

    assert listed("--route", "beta") == ["client-3"]
    assert listed("--campaign", "spring") == ["client-1"]
    assert listed("--older-than", "1h") == []
    assert listed("client-2", "nobody") == ["client-2"]


def test_what_collided_is_listed_apart(shell: Shell, book: Book) -> None:
    doubted(book, [message(1, in_doubt="resend"), message(2)])
    collided(book, [message(3, in_doubt="resend")])
    collided(book, [message(4, route="beta")])

    told = shell.worker("resolve", "--json").json
    assert (told["by_route"], told["collided"]) == ({"alpha": 3, "beta": 1}, {"alpha": 1, "beta": 1})
    policies = {one["client_id"]: (one["policy"], one["policy_of"]) for one in told["messages"]}
    assert policies["client-1"] == ("resend", "message")
    assert policies["client-3"] == policies["client-4"] == ("hold", "collision")
    alone = shell.worker("resolve", "--collided", "--json").json
    assert [one["client_id"] for one in alone["messages"]] == ["client-3", "client-4"]
    assert "of them collided" in shell.worker("resolve", COLUMNS="250").out
    assert "of them collided" not in shell.worker("resolve", "client-1", COLUMNS="250").out


def test_nothing_in_doubt_is_said(shell: Shell) -> None:
    assert shell.worker("resolve").out == "Nothing is in doubt.\n"
    assert shell.worker("resolve", "--json").json == {
        "total": 0,
        "by_route": {},
        "collided": {},
        "messages": [],
    }


# -- a word ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status"), [("sent", "sent"), ("rejected", "rejected"), ("requeue", "queued")]
)
def test_named_messages_are_settled_and_the_record_says_who_and_why(
    shell: Shell, book: Book, word: str, status: str
) -> None:
    doubted(book, messages(3))

    ran = shell.worker("resolve", "client-1", "client-3", "--as", word, *SAID, "--json")

    assert ran.code == 0
    assert ran.json == {
        "as": word,
        "by": "anna",
        "reason": "their list says so",
        "settled": 2,
        "by_route": {"alpha": 2},
        "unsettled": {},
        "stopped": "",
    }
    assert list(book.statuses().values()) == [status, "in_doubt", status]
    assert note(book, "client-1") == "resolved by anna: their list says so"
    assert note(book, "client-2") == "lost: no answer came"
    assert shell.worker("books", "--json").json["balanced"]
    shown = shell.worker("status", "client-1", "--json").json["events"][-1]
    assert (shown["type"], shown["note"]) == ("settle", "resolved by anna: their list says so")


def test_who_is_the_user_unless_said_otherwise(shell: Shell, book: Book) -> None:
    doubted(book, messages(1))

    ran = shell.worker(
        "resolve", "--all", "--yes", "--as", "sent", "--reason", " seen \n [/b] ", "--json", LOGNAME="olha"
    )

    assert (ran.json["by"], note(book, "client-1")) == ("olha", "resolved by olha: seen [/b]")
    assert "seen [/b]" in shell.worker("status", "client-1", COLUMNS="200").out


def test_named_messages_that_are_not_in_doubt_are_told_and_the_others_settled(
    shell: Shell, book: Book
) -> None:
    doubted(book, [message(1)])
    book.settle(book.package([message(2)]), Status.SENT)

    ran = shell.worker("resolve", "client-1", "client-2", "nobody", "--as", "sent", *SAID, "--json")

    assert (ran.code, ran.json["settled"]) == (1, 1)
    assert ran.json["unsettled"] == {"client-2": "sent", "nobody": None}
    assert "'client-2' is not in doubt: it is sent" in ran.err
    assert "no message 'nobody' in the ledger" in ran.err
    again = shell.worker("resolve", "client-1", "--as", "requeue", *SAID)
    assert (again.code, again.out) == (1, "Settled 0 as requeue.\n")
    assert book.statuses()["client-1"] == "sent"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--route", "beta"], {3}),
        (["--campaign", "spring"], {1, 3}),
        (["--campaign", "spring", "--route", "alpha"], {1}),
        (["--older-than", "2h", "--yes"], {2}),
        (["--older-than", "2h", "--route", "beta"], set()),
        (["--collided", "--yes"], {4}),
        (["--collided", "--route", "alpha"], {4}),
        (["--collided", "--route", "beta"], set()),
        (["--all", "--yes"], {1, 2, 3, 4}),
    ],
    ids=str,
)
def test_a_selection_is_settled(shell: Shell, book: Book, words: list[str], expected: set[int]) -> None:
    doubted(book, [message(1, campaign="spring"), message(2)])
    doubted(book, [message(3, route="beta", campaign="spring")])
    collided(book, [message(4)])
    book.rows("UPDATE packages SET in_doubt_since = now() - interval '3 hours'")
    book.rows(ONE_BY_ONE)
    book.rows(
        "UPDATE journal SET at = now() - interval '3 hours' WHERE message_ids = "
        "ARRAY(SELECT id FROM messages WHERE client_id = 'client-2')"
    )

    ran = shell.worker("resolve", *words, "--as", "rejected", *SAID, "--json")

    assert (ran.code, ran.json["settled"]) == (0, len(expected))
    rejected = {client_id for client_id, status in book.statuses().items() if status == "rejected"}
    assert rejected == {f"client-{number}" for number in expected}


@pytest.mark.slow
def test_thousands_are_settled_in_several_chunks(shell: Shell, book: Book) -> None:
    doubted(book, messages(2500))

    ran = shell.worker("resolve", "--all", "--yes", "--as", "requeue", *SAID, "--json")

    assert (ran.code, ran.json["settled"], ran.json["unsettled"]) == (0, 2500, {})
    assert set(book.statuses().values()) == {"queued"}
    assert book.one("SELECT count(DISTINCT at) FROM events WHERE note LIKE 'resolved by anna%'") == 3
    assert book.rows("SELECT DISTINCT state, rescue_at FROM packages") == [("closed", None)]
    assert book.books().balanced


def test_what_is_queued_again_is_notified(shell: Shell, setup: Setup, book: Book) -> None:
    doubted(book, [message(3, route="beta")])

    shell.worker("resolve", "--all", "--yes", "--as", "requeue", *SAID)

    app = celery_app(setup.settings.broker_url)
    assert [sees(app, queue) for queue in ("bulk", "urgent", "poll")] == [True, True, False]


def test_a_broker_that_is_away_keeps_nobody_from_a_word(shell: Shell, book: Book) -> None:
    doubted(book, messages(1))
    away = {"WORKER_BROKER_URL": "redis://:hush@127.0.0.1:9/1"}

    ran = shell.worker("resolve", "--all", "--yes", "--as", "requeue", *SAID, "--json", **away)

    assert (ran.code, ran.json["settled"]) == (0, 1)
    assert "hush" not in ran.err


def test_a_route_that_left_the_routes_file_is_listed_and_settled(shell: Shell, book: Book) -> None:
    doubted(book, [message(1, route="gone"), message(2, route="gone", in_doubt="resend")])

    listed = shell.worker("resolve", "--route", "gone", "--json").json["messages"]
    assert [(one["policy"], one["reference"]) for one in listed] == [(None, None), ("resend", None)]
    assert shell.worker("resolve", "--route", "gone", "--as", "sent", *SAID, "--json").json["settled"] == 2


@pytest.mark.slow
def test_what_others_are_writing_is_waited_for_and_kept(shell: Shell, book: Book) -> None:
    doubted(book, messages(2))
    [package_id] = {row.package_id for row in book.messages().values()}
    first = min(book.messages())
    words = ["resolve", "client-1", "client-2", "--as", "rejected", *SAID, "--json"]
    with book.ledger.begin() as connection:
        takes_its_time(connection)
        settle(connection, [Transition(first, package_id, Status.SENT)], {package_id: LOOK})
        running = shell.start(*words)
        while not book.waiting_for_a_lock():
            assert running.poll() is None
    out, err = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "'client-1' is not in doubt: it is sent" in err
    assert '"settled": 1' in out
    assert book.statuses() == {"client-1": "sent", "client-2": "rejected"}


@pytest.mark.slow
def test_what_stops_in_the_midst_says_what_is_left(shell: Shell, book: Book, ledger: Ledger) -> None:
    """Somebody holds the second of two packages for longer than anybody waits."""
    doubted(book, messages(1000))
    doubted(book, [message(number) for number in range(1001, 1501)])
    second = book.one("SELECT max(id) FROM packages")
    with ledger.begin() as connection:
        takes_its_time(connection)
        connection.execute(text("SELECT 1 FROM packages WHERE id = :id FOR UPDATE"), {"id": second})
        ran = shell.worker("resolve", "--all", "--yes", "--as", "sent", *SAID, "--json")

    assert (ran.code, ran.json["settled"]) == (1, 1000)
    assert "the database cannot do it now" in ran.json["stopped"]
    assert "stopped with 500 to go" in ran.err
    assert shell.worker("resolve", "--all", "--yes", "--as", "sent", *SAID, "--json").json["settled"] == 500


# -- usage -----------------------------------------------------------------------------------------------

USAGE = [
    pytest.param(["--as", "sent", *SAID], "say which", id="nothing selected"),
    pytest.param(["--as", "sent", "--all"], "--reason", id="no reason"),
    pytest.param(["--as", "sent", "--all", "--reason", " \n "], "--reason", id="a blank reason"),
    pytest.param(["--as", "sent", "--all", "--reason", "a\x1bb"], "plain text", id="a control character"),
    pytest.param(["--as", "sent", "--all", "--reason", "x" * 201], "200", id="a long reason"),
    pytest.param(["--as", "sent", "--all", "--reason", "x", "--by", "y" * 65], "64", id="a long name"),
    pytest.param(["--as", "failed", "--all", *SAID], "sent", id="a word that is none"),
    pytest.param(["a", "--all", "--as", "sent", *SAID], "one of the three", id="named and all"),
    pytest.param(
        ["a", "--route", "alpha", "--as", "sent", *SAID], "one of the three", id="named and a route"
    ),
    pytest.param(
        ["--all", "--route", "alpha", "--as", "sent", *SAID], "one of the three", id="all and a route"
    ),
    pytest.param(["--older-than", "3000000d", "--as", "sent", *SAID], "--older-than", id="a time too long"),
    pytest.param(["--older-than", "soon", "--as", "sent", *SAID], "--older-than", id="a time that is none"),
    pytest.param(["--all", "--limit", "5", "--as", "sent", *SAID], "--limit", id="a limit for a word"),
    pytest.param(["--limit", "-1"], "--limit", id="less than none"),
    pytest.param(["--all", "--reason", "x"], "--as", id="a reason for nothing"),
    *(
        pytest.param(
            [*wide, "--as", "sent", *SAID],
            f"{count} messages, of every route, are settled as sent, and there is nobody to ask: say --yes",
            id=f"{wide[0]}, and nobody to ask",
        )
        for wide, count in ((["--all"], 1), (["--older-than", "1h"], 0))
    ),
]


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_wrong_usage_settles_nothing(shell: Shell, book: Book, words: list[str], said: str) -> None:
    doubted(book, messages(1))

    ran = shell.worker("resolve", *words, COLUMNS="200")

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert book.statuses() == {"client-1": "in_doubt"}


def test_the_help_says_what_requeue_risks(shell: Shell) -> None:
    assert "may get it twice" in " ".join(shell.worker("resolve", "--help").out.split())
