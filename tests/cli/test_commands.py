"""The command line as people and programs meet it: sentences, exit codes, one JSON object, no traceback."""

import json
from datetime import timedelta

import pytest

from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import head
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.transitions import enqueue
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import messages

CSV = "client_id,recipient,text\na,+380931110001,Hello\nb,+380931110002,Hello\n"


def test_one_message_is_sent_by_options(shell: Shell, setup: Setup) -> None:
    ran = shell.worker(
        "send", "--to", "+380 93 111-00-01", "--sender", "Shop", "--text", "Hi", "--client-id", "x", "--json"
    )

    assert ran.code == 0
    assert ran.json.items() >= {"enqueued": 1, "refused": 0, "client_id": "x", "messages": 1}.items()
    assert setup.runtime(alpha=ROUTE).intake.waiting() == {Lane.URGENT: 0, Lane.BULK: 1}


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(CSV, id="csv"),
        pytest.param("\ufeff" + CSV, id="csv from a spreadsheet"),
        pytest.param(CSV.replace("\n", "\n\n"), id="csv with blank lines"),
        pytest.param(CSV.replace("text\n", "text,campaign\n"), id="csv with short rows"),
        pytest.param(
            '{"client_id": "a", "recipient": "+380931110001", "text": "Hello"}\n\n'
            '{"client_id": "b", "recipient": "+380931110002", "text": "Hello"}\n',
            id="json lines",
        ),
    ],
)
def test_many_messages_are_sent_from_stdin(shell: Shell, lines: str) -> None:
    ran = shell.worker("send", "-", "--sender", "Shop", "--json", stdin=lines)

    assert ran.code == 0
    assert ran.json.items() >= {"enqueued": 2, "refused": 0, "errors": [], "rows": 2, "new": 2}.items()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            "client_id,recipient,text,in_doubt\na,+380931110001,Hello,fail\nb,+380931110002,Hello,\n",
            id="csv",
        ),
        pytest.param(
            '{"client_id": "a", "recipient": "+380931110001", "text": "Hello", "in_doubt": "fail"}\n'
            '{"client_id": "b", "recipient": "+380931110002", "text": "Hello"}\n',
            id="json lines",
        ),
    ],
)
def test_a_policy_is_given_by_lines_and_an_option_fills_it_in(shell: Shell, setup: Setup, lines: str) -> None:
    shell.worker("send", "-", "--sender", "Shop", "--in-doubt", "resend", stdin=lines)

    intake = setup.runtime(alpha=ROUTE).intake
    [entry] = intake.read(Lane.BULK, entries=1, idle=timedelta(0))
    read = [Message.from_dict(raw) for raw in entry.messages if isinstance(raw, dict)]
    assert [message.in_doubt for message in read] == [DoubtPolicy.FAIL, DoubtPolicy.RESEND]


def test_lines_that_cannot_be_messages_are_named_and_the_others_sent(shell: Shell) -> None:
    bad = (
        "client_id,recipient,text\n"
        "a,+380931110001,Hello\n"
        "b,12345,Hello\n"
        "c,+380931110003,\n"
        "d,+380931110004,Hello,surplus\n"
        ",+380931110005,Hello\n"
    )

    ran = shell.worker("send", "-", "--sender", "Shop", "--json", stdin=bad)

    assert ran.code == 1
    assert (ran.json["enqueued"], ran.json["refused"]) == (1, 4)
    for number, said in (
        (3, "recipient"),
        (4, "text"),
        (5, "row: must have at most 3 cells, got 4"),
        (6, "client_id"),
    ):
        assert any(f"line {number}: {said}" in error for error in ran.json["errors"])


def test_lines_that_are_no_json_objects_are_named_and_the_others_sent(shell: Shell) -> None:
    good = '{"client_id": "a", "recipient": "+380931110001", "text": "Hello"}\n'

    ran = shell.worker("send", "-", "--sender", "Shop", "--json", stdin=f"{good}{{nonsense\n[1, 2]\n")

    assert ran.code == 1
    assert (ran.json["enqueued"], ran.json["refused"]) == (1, 2)
    assert ran.json["errors"] == [
        "line 2: row: must be JSON, got '…'",
        "line 3: row: must be a JSON object, got 'list'",
    ]


USAGE = [
    pytest.param(["send"], "--to", id="nothing to send"),
    pytest.param(["send", "-", "--to", "+380931110001"], "--to", id="a file and a number"),
    pytest.param(["send", "no-such-file.csv"], "no-such-file.csv", id="a file that is not there"),
    pytest.param(["send", "-", "--client-id", "x"], "--client-id", id="an id for many"),
    pytest.param(["books", "--nonsense"], "nonsense", id="an option that is none"),
    pytest.param(["nonsense"], "nonsense", id="a command that is none"),
    pytest.param(["demo", "--messages", "0"], "--messages", id="a demo of nothing"),
    pytest.param(["sandbox", "--final-least", "3"], "timings", id="timings out of order"),
]


@pytest.mark.parametrize(("words", "named"), USAGE)
def test_wrong_usage_is_told_with_exit_code_2(shell: Shell, words: list[str], named: str) -> None:
    ran = shell.worker(*words)

    assert ran.code == 2
    assert named in ran.err


SEND = ["send", "--to", "+380931110001", "--sender", "Shop", "--text", "Hi"]

FAILURES = [
    pytest.param([*SEND[:2], "12", *SEND[3:]], {}, "recipient", id="a number that is none"),
    pytest.param([*SEND[:-1], ""], {}, "text", id="an empty text"),
    pytest.param([*SEND[:-1], "a\x01b"], {}, "control characters", id="a control character"),
    pytest.param([*SEND[:-1], "я" * 1999], {}, "text", id="a text too long"),
    pytest.param([*SEND[:4], "Far too long a name", *SEND[5:]], {}, "sender", id="a sender too long"),
    pytest.param([*SEND, "--route", "beta"], {}, "must be one of alpha", id="an unknown route"),
    pytest.param([*SEND, "--lane", "slow"], {}, "urgent, bulk", id="an unknown lane"),
    pytest.param([*SEND, "--in-doubt", "ask"], {}, "hold, resend, fail", id="a policy that is none"),
    pytest.param([*SEND, "--durability", "disk"], {}, "redis, fsync", id="a durability that is none"),
    pytest.param(["status", "nobody"], {}, "nobody", id="an id nobody knows"),
    pytest.param(["books"], {"WORKER_REDIS_URL": ""}, "together", id="one address of two"),
    pytest.param(["routes", "list"], {"WORKER_ROUTES": "gone.toml"}, "gone.toml", id="no routes file"),
    pytest.param(["books"], {"WORKER_LOG_LEVEL": "LOUD"}, "WORKER_LOG_LEVEL", id="a setting that is none"),
    pytest.param(
        ["books"],
        {
            "WORKER_DATABASE_URL": "postgresql://me:hush@127.0.0.1:9/none",
            "WORKER_REDIS_URL": "redis://127.0.0.1:9",
        },
        "database cannot be reached",
        id="no database there",
    ),
    pytest.param(
        SEND,
        {"WORKER_REDIS_URL": "redis://:hush@127.0.0.1:9/0"},
        "Redis cannot be reached",
        id="no Redis there",
        marks=pytest.mark.slow,
    ),
    pytest.param(["up"], {}, "WORKER_DATABASE_URL", id="up with servers of one's own"),
]


@pytest.mark.parametrize(("words", "env", "said"), FAILURES)
def test_what_cannot_be_done_is_said_in_a_sentence_with_exit_code_1(
    shell: Shell, words: list[str], env: dict[str, str], said: str
) -> None:
    ran = shell.worker(*words, **env)

    assert ran.code == 1
    assert said in ran.err
    assert "hush" not in ran.err
    assert "crash.log" not in ran.err


STOPPED = [
    pytest.param("client_id,recipient,text\n".encode("utf-16"), "is text in UTF-16", id="utf-16"),
    pytest.param(b"a,+380931110001,Hello\n", "no column is called client_id", id="no heading"),
    pytest.param(b"client_id,text,recipient,text\n", "two columns are text", id="a field twice"),
    pytest.param(b'client_id,recipient,text\na,+380931110001,"Hi\n', "line 2: a quote", id="an open quote"),
    pytest.param(
        b'client_id,recipient,text\n\n,+380931110001,Hi\nb,+380931110002,"Hi\nc,+380931110003,Hi\n',
        "line 4: a quote",
        id="an open quote further on",
    ),
]


@pytest.mark.parametrize(("content", "said"), STOPPED)
def test_of_a_file_that_cannot_be_read_nothing_leaves(shell: Shell, content: bytes, said: str) -> None:
    (shell.folder / "many.csv").write_bytes(content)

    ran = shell.worker("send", "many.csv", "--sender", "Shop", "--json")

    assert ran.code == 1
    assert said in ran.err
    assert "crash.log" not in ran.err
    assert ran.json["enqueued"] == 0
    assert said in ran.json["errors"][-1]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_line_that_is_no_utf_8_is_named_by_its_own_number(shell: Shell, form: str) -> None:
    rows = [(f"m-{number}", f"+38093{number:07d}", "Вітаємо") for number in range(3000)]
    lines = (
        ["client_id,recipient,text", *map(",".join, rows)]
        if form == "csv"
        else [
            json.dumps(dict(zip(("client_id", "recipient", "text"), row, strict=True)), ensure_ascii=False)
            for row in rows
        ]
    )
    raw = [line.encode() for line in lines]
    raw[1234] = lines[1234].encode("cp1251")
    (shell.folder / "many").write_bytes(b"\n".join(raw))

    ran = shell.worker("send", "many", "--sender", "Shop", "--json")

    assert (ran.code, ran.json["enqueued"], ran.json["refused"]) == (1, 2999, 1)
    assert ran.json["errors"] == ["line 1235: row: is not UTF-8, got '…'"]


def test_a_file_whose_rows_are_not_all_good_is_sent_whole_or_not_at_all_if_people_want_that(
    shell: Shell, setup: Setup
) -> None:
    (shell.folder / "many.csv").write_text(f"{CSV}c,12,Hello\n", "utf-8")

    ran = shell.worker("send", "many.csv", "--sender", "Shop", "--strict")

    assert ran.code == 1
    assert "Nothing is sent" in ran.out
    assert setup.runtime(alpha=ROUTE).intake.waiting()[Lane.BULK] == 0
    refused = (shell.folder / "many.refused.csv").read_text("utf-8").splitlines()
    assert refused[1].startswith("4,recipient,'12',\"has no country code")


def test_a_file_sent_again_says_how_much_of_it_is_known(shell: Shell, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(3, sender="Shop"))
    known = "".join(f"client-{n},+38093{n:07d},Order {n} is ready\n" for n in (1, 2))
    rows = f"client_id,recipient,text\n{known}client-3,+380930000003,Another text\nnew,+380930000009,Hello\n"

    ran = shell.worker("send", "-", "--sender", "Shop", "--json", stdin=rows)

    assert ran.code == 1  # one of them will never be sent
    told = {name: ran.json[name] for name in ("enqueued", "known", "conflicts", "new")}
    assert told == {"enqueued": 4, "known": 2, "conflicts": 1, "new": 1}
    assert "2 messages known already, 1 new" in ran.err
    assert "1 message with the id of another: never sent" in ran.err


def test_what_a_file_will_cost_is_told_before_and_a_dry_run_sends_nothing(shell: Shell, setup: Setup) -> None:
    text = "It\u2019s ready " + "at the shop " * 7
    rows = f"client_id,recipient,text,city\na,+380931110001,{text},Lviv\nb,+16215550100,Hello,\n"

    ran = shell.worker("send", "-", "--sender", "Shop", "--dry-run", stdin=rows)

    assert ran.code == 0
    for said in (
        "2 rows, 2 messages",
        "gsm-7: 1 message, 1 segment",
        "ucs-2: 1 message, 2 segments",
        "U+2019 RIGHT SINGLE QUOTATION MARK makes 1 Latin text UCS-2",
        "cost 1 segment",
        "columns left out: city",
        "1 number in no range known to be in use",
        "no worker is running",
    ):
        assert said in ran.err, said
    assert "Nothing is sent: --dry-run." in ran.out
    assert setup.runtime(alpha=ROUTE).intake.waiting()[Lane.BULK] == 0


def test_one_message_is_checked_and_told_as_a_file_of_one(shell: Shell) -> None:
    one = ["send", "--to", "+16215550100", "--sender", "Shop", "--text", "It\u2019s ready"]

    told = shell.worker(*one, "--dry-run")
    strict = shell.worker(*one, "--only-valid")
    wrong = shell.worker(*one, "--strict")

    assert told.code == 0
    for said in ("ucs-2: 1 message, 1 segment", "U+2019", "1 number in no range known to be in use"):
        assert said in told.err
    assert (strict.code, "is not known to be given out, got <12 characters>" in strict.err) == (1, True)
    assert (wrong.code, "are for a file" in wrong.err) == (2, True)


def test_the_list_of_refused_rows_is_that_of_this_run_and_nobody_else_s_file(shell: Shell) -> None:
    good, bad = f"{CSV}", f"{CSV}c,12,Hello\n"
    (shell.folder / "many.csv").write_text(bad, "utf-8")
    shell.worker("send", "many.csv", "--sender", "Shop", "--dry-run")
    assert (shell.folder / "many.refused.csv").exists()

    (shell.folder / "many.csv").write_text(good, "utf-8")
    assert shell.worker("send", "many.csv", "--sender", "Shop", "--dry-run").code == 0
    assert not (shell.folder / "many.refused.csv").exists()

    itself = shell.worker("send", "many.csv", "--sender", "Shop", "--refused", "many.csv")
    (shell.folder / "mine.csv").write_text("something of mine\n", "utf-8")
    mine = shell.worker("send", "many.csv", "--sender", "Shop", "--refused", "mine.csv")
    assert (itself.code, "is the file itself" in itself.err) == (2, True)
    assert (mine.code, "is there already" in mine.err) == (2, True)
    assert (shell.folder / "many.csv").read_text("utf-8") == good


def test_columns_are_called_what_people_call_them(shell: Shell, setup: Setup) -> None:
    ran = shell.worker(
        "send", "-", "--sender", "Shop", "--column", "recipient=Телефон", "--column", "client_id=Order",
        "--region", "UA", "--json", stdin="Order;Телефон;Text\n1;093 111 00 01;Hello\n",
    )  # fmt: skip

    assert (ran.code, ran.json["enqueued"]) == (0, 1)


def test_a_ledger_that_is_away_does_not_stop_a_file(shell: Shell) -> None:
    ran = shell.worker(
        "send", "-", "--sender", "Shop", "--json", "--campaign", "spring", stdin=CSV,
        WORKER_DATABASE_URL="postgresql://me@127.0.0.1:9/none",
    )  # fmt: skip

    assert (ran.code, ran.json["enqueued"]) == (0, 2)
    assert ran.err.count("what the ledger knows already is not told: the database cannot be reached") == 1


def test_odd_json_lines_spoil_only_themselves_and_blank_lines_nothing(shell: Shell) -> None:
    good = '{"client_id": "a", "recipient": "+380931110001", "text": "Hi"}'
    deep = '{"client_id": "b", "text": ' + "[" * 100_000 + "]" * 100_000 + "}"

    ran = shell.worker("send", "-", "--sender", "Shop", "--json", stdin=f"\n \n{good}\n{deep}\n[1]\n")

    assert (ran.json["enqueued"], ran.json["refused"]) == (1, 2)


def test_mixed_up_columns_show_nobody_s_number_and_no_text(shell: Shell) -> None:
    lines = "client_id,recipient,text,lane,route\na,+380931110001,Hi,+380931110002,\n"
    lines += "b,+380931110001,Hi,,My secret text for you\n"

    ran = shell.worker("send", "-", "--sender", "Shop", stdin=lines)

    assert ran.code == 1
    assert "380931110002" not in ran.err
    assert "secret text" not in ran.err


@pytest.mark.parametrize("broker", ["junk://x:hush@y", "redis://127.0.0.1:abc/1"])
def test_a_broker_s_address_that_is_none_is_told_before_anything_is_handed_over(
    shell: Shell, setup: Setup, broker: str
) -> None:
    ran = shell.worker(*SEND, WORKER_BROKER_URL=broker)

    assert ran.code == 1
    assert "WORKER_BROKER_URL" in ran.err
    assert "hush" not in ran.err
    assert setup.runtime(alpha=ROUTE).intake.waiting()[Lane.BULK] == 0


class TestASchemaThatIsNotOurs:
    @pytest.fixture
    def database_url(self, own_database_url: str) -> str:
        """A database of this test's own."""
        return own_database_url

    @pytest.mark.slow
    def test_a_database_that_is_not_migrated_is_said_with_the_remedy(
        self, shell: Shell, database_url: str
    ) -> None:
        ledger = Ledger.connect(database_url)
        with ledger.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        ledger.close()

        before = shell.worker("books")
        assert before.code == 1
        assert "worker db upgrade" in before.err

        assert shell.worker("db", "upgrade", "--json").json == {"before": "", "now": head(), "told": []}
        assert shell.worker("db", "upgrade", "--json").json == {"before": head(), "now": head(), "told": []}
        assert shell.worker("books", "--json").json["total"] == 0

    def test_a_database_that_is_ahead_is_refused_by_commands(self, shell: Shell, ledger: Ledger) -> None:
        with ledger.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

        for command in (("books",), ("resolve",)):
            ran = shell.worker(*command)
            assert ran.code == 1
            assert "stands at 9999" in ran.err


def test_books_status_and_routes_tell_what_there_is(shell: Shell, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(3))

    books = shell.worker("books", "--json")
    assert books.code == 0
    assert books.json == {
        "total": 3,
        "by_status": {"queued": 3},
        "waiting": 0,
        "duplicates": 0,
        "conflicts": 0,
        "dead_letters": 0,
        "balanced": True,
        "unbalanced": [],
    }
    status = shell.worker("status", "client-1", "--json").json
    assert (status["status"], status["events"][0]["type"]) == ("queued", "enqueue")
    assert "0000001" not in status["recipient"]
    (route,) = shell.worker("routes", "list", "--json").json["routes"]
    assert (route["name"], route["state"], route["queued"]) == ("alpha", "active", 3)


def test_books_that_do_not_balance_are_told_with_exit_code_1(shell: Shell, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(3))
        connection.exec_driver_sql("DELETE FROM messages WHERE client_id = 'client-2'")

    ran = shell.worker("books", "--json")

    assert (ran.code, ran.json["balanced"]) == (1, False)
    assert ran.json["unbalanced"] == ["queued: 2 messages, 3 by the events"]


def test_a_paused_route_stays_paused_until_it_is_resumed(shell: Shell) -> None:
    assert shell.worker("routes", "pause", "alpha", "--reason", "lunch", "--json").json["state"] == "stopped"

    (route,) = shell.worker("routes", "list", "--json").json["routes"]
    assert (route["state"], route["reason"]) == ("stopped", "lunch")
    assert shell.worker("routes", "resume", "alpha", "--json").json == {"route": "alpha", "state": "active"}


@pytest.mark.slow
def test_a_route_that_left_the_routes_file_is_named_with_what_it_strands(
    shell: Shell, ledger: Ledger
) -> None:
    with ledger.begin() as connection:
        register_routes(connection, ["gone", "idle"])
        enqueue(connection, messages(3, route="gone"))

    routes = {route["name"]: route for route in shell.worker("routes", "list", "--json").json["routes"]}

    assert set(routes) == {"alpha", "gone"}
    assert (routes["gone"]["provider"], routes["gone"]["unfinished"]) == (None, 3)
    assert "stranded" in shell.worker("routes", "list").out
    findings = shell.worker("doctor", "--json").json["findings"]
    assert any(f["result"] == "bad" and "gone" in f["seen"] for f in findings)


def test_the_stop_list_keeps_a_number_from_getting_anything(shell: Shell, ledger: Ledger) -> None:
    assert (
        shell.worker("suppressions", "add", "+380 93 0000001", "--reason", "asked", "--json").json["added"]
        == 1
    )
    with ledger.begin() as connection:
        enqueue(connection, messages(2))

    assert shell.worker("books", "--json").json["by_status"] == {"queued": 1, "suppressed": 1}
    assert shell.worker("suppressions", "remove", "+380930000001", "--json").json == {"removed": 1}


def test_people_get_tables(shell: Shell, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        enqueue(connection, messages(3))

    assert "The books balance." in shell.worker("books").out
    assert "queued" in shell.worker("status", "client-1").out
    assert "alpha" in shell.worker("routes", "list").out
