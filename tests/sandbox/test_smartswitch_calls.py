"""SMARTSwitch calls: what is read, what is refused whole or alone, and the documents that come back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Mix, Timings
from bulk_dispatch.sandbox.provider import Call, Orders, Provider, Refused, Reply
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions
from bulk_dispatch.sandbox.smartswitch.provider import smartswitch

NOW = 1_930_011_223.0  # seconds since 1970
WHO = [("_login", "sandbox"), ("_password", "sandbox-password")]
FORM = "application/x-www-form-urlencoded"

Pairs = list[tuple[str, str]]


class Installation:
    """A make-believe at one moment, with nothing of HTTP but what a call consists of."""

    def __init__(self, options: SandboxOptions, journal: Journal | None = None) -> None:
        [self.provider] = smartswitch(options, journal)

    def ask(self, query: str | bytes = b"", body: str | bytes = b"", label: str = FORM) -> Any:
        return json.loads(self.reply(query, body, label).body)

    def reply(self, query: str | bytes = b"", body: str | bytes = b"", label: str = FORM) -> Reply:
        query, body = (part.encode() if isinstance(part, str) else part for part in (query, body))
        headers = {"content-type": label} if body else {}
        try:
            request = self.provider.read(Call("POST", "/api/message", query, headers, body))
        except Refused as refused:
            return refused.reply
        answer = self.provider.answer(request, Orders(), NOW)
        return answer.write(answer.items)

    def send(self, *groups: Pairs) -> Any:
        """By query."""
        return self.ask(query(*groups))

    def statuses(self, *groups: Pairs) -> list[str]:
        data = self.send(*groups)["data"]
        return [one["attributes"]["status"] for one in (data if isinstance(data, list) else [data])]

    def taken(self) -> int:
        tally = self.provider.account.tallies.get("smartswitch")
        return tally.taken if tally else 0


def installation(**differences: Any) -> Installation:
    return Installation(SandboxOptions(smartswitch=SmartSwitchOptions(**differences)))


def query(*groups: Pairs) -> str:
    """All the parameters of a call, percent-encoded."""
    pairs = [*WHO, *(pair for group in groups for pair in group)]
    return urlencode(pairs, quote_via=quote)


def group(number: str = "380931110001", body: str = "Order 18", **more: str) -> Pairs:
    """One recipient."""
    return [("destination_number", number), ("body", body), *more.items()]


def many(size: int) -> list[Pairs]:
    return [group(f"3809311{place:05}") for place in range(size)]


# The samples of the sheet, section 2


def test_one_recipient_gets_an_object() -> None:
    here = installation()

    answer = here.ask(
        "_login=sandbox&_password=sandbox-password&destination_number=380931110001&source_name=ShopNews"
        "&body=Order%2018&require_dlr=1&request_id=700001"
    )

    number = answer["data"]["id"]
    assert answer == {
        "data": {
            "type": "message",
            "id": number,
            "attributes": {"destination_number": "380931110001", "segments": 1, "status": "ok"},
            "meta": {"request_id": "700001"},
        }
    }
    assert len(number) == 13
    assert number.isdecimal()


def test_two_recipients_one_refused_get_an_array() -> None:
    here = Installation(SandboxOptions(mix=Mix(refused_recipients="0002$")))

    answer = here.ask(
        "_login=sandbox&_password=sandbox-password"
        "&destination_number=380931110001&body=A&require_dlr=1&request_id=700001"
        "&destination_number=380931110002&body=B&require_dlr=1&request_id=700002"
    )

    first, second = (one["id"] for one in answer["data"])
    assert answer == {
        "data": [
            {
                "type": "message",
                "id": first,
                "attributes": {"destination_number": "380931110001", "segments": 1, "status": "ok"},
                "meta": {"request_id": "700001"},
            },
            {
                "type": "message",
                "id": second,
                "attributes": {"destination_number": "380931110002", "segments": 1, "status": "error"},
                "meta": {"request_id": "700002"},
            },
        ]
    }
    assert len(second) == 13
    assert here.taken() == 1


def test_a_stranger_gets_errors() -> None:
    here = installation()

    answer = here.ask(query(group()).replace("sandbox-password", "guess"))

    assert answer == {
        "errors": [
            {
                "code": "authentication",
                "title": "Authentication error",
                "detail": "_login or _password is wrong",
            }
        ]
    }
    assert here.taken() == 0


@pytest.mark.parametrize(
    "who",
    [
        "",
        "_login=sandbox&",
        "_password=sandbox-password&",
        "_login=&_password=&",
        "_login=sandbox-password&_password=sandbox&",
        "_login=Sandbox&_password=sandbox-password&",
    ],
)
def test_credentials_must_be_whole_and_right(who: str) -> None:
    assert _code(installation().ask(f"{who}destination_number=380931110001&body=A")) == "authentication"


def test_without_a_login_nobody_gets_in() -> None:
    here = Installation(SandboxOptions(login=None, password=None))

    for who in ("", "_login=&_password=&", "_login=None&_password=None&"):
        assert _code(here.ask(f"{who}destination_number=380931110001&body=A")) == "authentication"


# What refuses the whole call

GOOD = query(group())
BAD_CALLS: dict[str, str | bytes] = {
    "no recipient": query(),
    "no destination_number": query([("body", "A")]),
    "an unknown parameter": query(group(priority="1")),
    "a parameter in other letters": GOOD.replace("body", "Body"),
    "a parameter with an underscore": query(group(_request_id="1")),
    "login twice": GOOD + "&_login=sandbox",
    "password twice": GOOD + "&_password=sandbox-password",
    "credentials for every recipient": query(group(), [*WHO, *group()]),
    "a name without a value": GOOD + "&request_id",
    "an empty pair": GOOD + "&",
    "a bare space as plus": GOOD.replace("%20", "+"),
    "a bare percent": GOOD + "%",
    "a percent of other digits": GOOD + "%zz",
    "a semicolon": GOOD + ";a",
    "a bare letter beyond ASCII": GOOD.encode() + "ж".encode(),
    "not UTF-8": GOOD + "%E6",
    "half a character": GOOD + "%D0",
    "an encoded name": GOOD.replace("destination_number", "destination%5Fnumber"),
    # groups
    "a second group too short": query(group(), [("destination_number", "380931110002")]),
    "a second group too long": query(group(), group(require_dlr="1")),
    "a first group too long": query(group(require_dlr="1"), group()),
    "another order": query(group(), group()[::-1]),
    "all numbers, then all texts": query(
        [("destination_number", "380931110001"), ("destination_number", "380931110002")],
        [("body", "A"), ("body", "B")],
    ),
    "one text for two": query([("destination_number", "380931110001")], group()),
    "a text twice": query([*group(), ("body", "B")]),
    "another parameter in the second": query(group(require_dlr="1"), group(request_id="1")),
    "request_id for one only": query(group(request_id="1"), group(), group(request_id="3")),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_is_refused_as_a_whole(name: str) -> None:
    here = installation()

    assert _code(here.ask(BAD_CALLS[name])) == "parameters"
    assert here.taken() == 0


@pytest.mark.parametrize("name", BAD_CALLS)
def test_what_is_refused_is_not_repeated(name: str) -> None:
    reply = installation().reply(BAD_CALLS[name])

    assert b"380931110001" not in reply.body
    assert b"sandbox" not in reply.body
    assert b"Order" not in reply.body


def test_a_query_is_under_four_kibibytes() -> None:
    here = installation()
    longest = GOOD + "x" * (4095 - len(GOOD))

    assert "data" in here.ask(longest)
    assert _code(here.ask(longest + "x")) == "size"


@pytest.mark.parametrize(("params_in", "most"), [("query", 10), ("form", 50)])
def test_recipients_of_a_call_are_limited(params_in: Literal["query", "form"], most: int) -> None:
    here = installation(params_in=params_in)
    ask: Callable[[str], Any] = here.ask if params_in == "query" else lambda form: here.ask(body=form)

    assert len(ask(query(*many(most)))["data"]) == most
    assert _code(ask(query(*many(most + 1)))) == "size"
    assert here.taken() == most


# Query and form


def test_a_form_says_the_same() -> None:
    here = installation()

    for label in (FORM, f"{FORM}; charset=UTF-8"):
        answer = here.ask(body=query(group()).replace("%20", "+"), label=label)
        assert answer["data"]["attributes"]["status"] == "ok"

    digest = content_digest("380931110001", "", "Order 18")
    assert [record.digest for record in here.provider.account.records("smartswitch")] == [digest, digest]


@pytest.mark.parametrize(
    ("params_in", "asked"),
    [
        ("query", {"body": GOOD}),
        ("form", {"query": GOOD}),
        ("both", {"query": GOOD, "body": GOOD}),
        ("both", {"query": query(), "body": urlencode(group())}),
        ("both", {"body": GOOD, "label": "application/json"}),
        ("both", {"body": GOOD, "label": f"{FORM}; charset=windows-1251"}),
        ("both", {"body": GOOD, "label": ""}),
        ("both", {}),
    ],
)
def test_parameters_stand_where_they_are_looked_for(params_in: str, asked: dict[str, str]) -> None:
    assert _code(installation(params_in=params_in).ask(**asked)) == "parameters"


# What refuses one recipient

REFUSED: dict[str, Pairs] = {
    "no number": group(""),
    "a plus": group("+380931110001"),
    "spaces": group("380 93 111 00 01"),
    "letters": group("38093CALLME1"),
    "other digits": group("٣٨٠٩٣١١١٠٠٠١"),
    "a number of a country nought": group("0931110001"),
    "too short a number": group("380931"),
    "too long a number": group("3" * 16),
    "a number ending in a line feed": group("380931110001\n"),
    "no text": group(body=""),
    "no text and a loud ping": group(body="", stealth_ping="0"),
    "256 segments": group(body="x" * (255 * 153 + 1)),
    "a long name": group(source_name="abcdefghijkl"),
    "a long source number": group(source_number="1" * 16),
    "a source number with a plus": group(source_number="+380931110000"),
    "name and number": group(source_name="ShopNews", source_number="380931110000"),
    "require_dlr of letters": group(require_dlr="true"),
    "require_dlr of two": group(require_dlr="2"),
    "stealth_ping of letters": group(stealth_ping="yes"),
    "request_id with a space": group(request_id="a b"),
    "request_id with an underscore": group(request_id="a_b"),
    "request_id of other letters": group(request_id="ж"),
    "request_id too long": group(request_id="1" * 65),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_recipient_is_refused_alone(name: str) -> None:
    bad = REFUSED[name]
    good = [(key, dict(group()).get(key, "")) for key, _ in bad]
    here = installation()

    answer = here.ask(body=query(bad, good))

    first, second = answer["data"]
    assert (first["attributes"]["status"], second["attributes"]["status"]) == ("error", "ok")
    assert first["attributes"].keys() == {"destination_number", "segments", "status"}  # and no reason
    assert first["id"] != second["id"]


FINE: dict[str, Pairs] = {
    "15 digits": group("3" * 15),
    "7 digits": group("2901234"),
    "a name of 11": group(source_name="abcdefghijk"),
    "a source number of 15": group(source_number="1" * 15),
    "no dlr": group(require_dlr="0"),
    "a request_id of 64": group(request_id="aZ0-" * 16),
    "empty values": group(source_name="", source_number="", require_dlr="", stealth_ping="", request_id=""),
    "a silent ping": [("destination_number", "380931110001"), ("stealth_ping", "1")],
    "a silent ping with an empty text": group(body="", stealth_ping="1"),
    "another order": group(request_id="1")[::-1],
    "markup": group(body="<b>a+b & c=d; 100%</b>\n"),
    "255 segments": group(body="x" * (255 * 153)),
}


def test_a_text_may_not_be_left_out() -> None:
    here = installation()

    assert here.statuses([("destination_number", "380931110001"), ("source_name", "ShopNews")]) == ["error"]
    assert here.taken() == 0


@pytest.mark.parametrize("name", FINE)
def test_what_the_sheet_allows_is_sent(name: str) -> None:
    here = installation()

    answer = here.ask(body=query(FINE[name]))

    assert answer["data"]["attributes"]["status"] == "ok"
    assert here.taken() == 1


def test_what_is_sent_is_what_was_written() -> None:
    here = installation()
    text = "Привіт, a+b & c=d; 100%?\n😀"

    here.send(group("380931110001", text, source_name="ShopNews", source_number="", request_id="7"))
    here.send(group("380931110002", text, source_name="", source_number="380441", request_id="a7"))

    assert here.provider.account.deliveries("smartswitch") == [
        (7, "380931110001", content_digest("380931110001", "ShopNews", text), 1),
        (None, "380931110002", content_digest("380931110002", "380441", text), 1),
    ]


# Answers


def test_there_is_no_memory_of_a_request_id() -> None:
    here = installation()
    repeated = group(request_id="700001")

    first, second = (here.send(repeated)["data"]["id"] for _ in range(2))

    assert first != second
    assert here.provider.account.tallies["smartswitch"].twice == 1
    assert [times for *_, times in here.provider.account.deliveries("smartswitch")] == [2]


def test_the_same_number_twice_in_a_call_is_two_messages() -> None:
    here = installation()

    answer = here.send(group(body="A"), group(body="B"))

    first, second = answer["data"]
    assert first["attributes"] == second["attributes"]
    assert int(second["id"]) == int(first["id"]) + 1


@pytest.mark.parametrize("place", ["meta", "attributes", "top"])
def test_request_id_may_stand_in_three_places(place: str) -> None:
    data = installation(request_id_in=place).send(group(request_id="7-a"))["data"]

    found = {"meta": data.get("meta", {}), "attributes": data["attributes"], "top": data}
    assert {where for where, members in found.items() if "request_id" in members} == {place}
    assert found[place]["request_id"] == "7-a"


def test_request_ids_may_come_without_having_been_sent() -> None:
    told = installation().send(group(), group("380931110002"))["data"]
    silent = installation(unasked_request_ids=False).send(group())["data"]

    assert [one["meta"] for one in told] == [{"request_id": "1"}, {"request_id": "2"}]
    assert "meta" not in silent


def test_ok_may_be_cyrillic() -> None:
    here = installation(cyrillic_ok=True)

    assert here.statuses(group(), group("nobody")) == ["\u043e\u043a", "error"]


def test_answers_carry_the_labels_of_the_installation() -> None:
    here = installation(media_type="text/html", error_status=401)

    sent, refused = here.reply(GOOD), here.reply("")

    assert (sent.media_type, sent.status) == ("text/html", 200)
    assert (refused.media_type, refused.status) == ("text/html", 401)
    assert installation().reply(GOOD).media_type == "application/vnd.api+json"


def test_segments_are_told() -> None:
    assert installation().send(group(body="x" * 161))["data"]["attributes"]["segments"] == 2


# What the frame asks of a provider


@pytest.mark.parametrize(("share", "expected"), [(0.5, ["error", "ok", "error"]), (1, ["error"] * 3)])
def test_the_script_may_refuse_a_share(share: float, expected: list[str]) -> None:
    provider = installation().provider
    request = provider.read(Call("POST", "/api/message", query(*many(3)).encode(), {}, b""))

    answer = provider.answer(request, Orders(code="error", share=share), NOW)

    assert [one.status for one in answer.items] == expected
    tally = provider.account.tallies["smartswitch"]
    assert (tally.taken, tally.refused) == (expected.count("ok"), expected.count("error"))


def test_spoilt_items_are_written_as_they_are() -> None:
    provider = installation().provider
    request = provider.read(Call("POST", "/api/message", GOOD.encode(), {}, b""))
    answer = provider.answer(request, Orders(), NOW)
    [item] = answer.items

    def written(*items: Any) -> Any:
        return json.loads(answer.write(list(items)).body)["data"]

    assert written() == []
    assert [one["id"] for one in written(item, item)] == [item.id, item.id]
    assert written(provider.recoded(item, 777))["attributes"]["status"] == "777"
    strangers = provider.strangers("message", 2)
    assert len({one["id"] for one in written(item, *strangers)}) == 3


def test_any_status_but_ok_can_be_scripted() -> None:
    provider = installation().provider

    assert [provider.has_code(code) for code in ("error", "queued", 777)] == [True, True, True]
    assert [provider.has_code(code) for code in ("ok", "OK", "\u043e\u043a")] == [False, False, False]


def test_errors_for_the_script_have_a_code_of_every_class() -> None:
    errors = installation().provider.errors

    told = [json.loads(reply.body)["errors"][0]["code"] for reply in errors.values()]
    assert told == list(errors)
    for word in ("balance", "credit", "money", "limit", "throttl", "busy", "number", "destination", "body"):
        assert any(word in code for code in told), word


def test_rules_by_recipient_see_all_of_a_call() -> None:
    request = installation().provider.read(
        Call("POST", "/api/message", query(group(), group("380931110002")).encode(), {}, b"")
    )

    assert (request.command, list(request.recipients)) == ("message", ["380931110001", "380931110002"])


def test_numbers_go_on_after_a_kill(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    before = Installation(SandboxOptions(), journal)
    number = int(before.send(group(request_id="1"))["data"]["id"])

    after = Installation(SandboxOptions(), journal)
    revive(after.provider, journal)

    assert after.provider.account.by_number(number) == before.provider.account.by_number(number)
    assert int(after.send(group(request_id="2"))["data"]["id"]) == number + 1
    journal.close()


def test_a_new_account_does_not_repeat_numbers() -> None:
    here = installation()
    before = int(here.send(group())["data"]["id"])

    here.provider.account.forget()

    assert int(here.send(group())["data"]["id"]) > before
    assert here.taken() == 1


def test_fates_are_drawn_from_the_mix() -> None:
    options = SandboxOptions(
        mix=Mix(delivered=0, undeliverable=1, expired=0, rejected=0),
        timings=Timings(first=1, final=(2, 4)),
    )
    here = Installation(options)

    here.send(group(request_id="5"))

    taken: Any = here.provider.account.by_own_id(5)
    assert [taken.state_name(NOW + after) for after in (0, 4)] == ["ok", "undeliverable"]
    assert taken.state_name(NOW + 1.5) in {"enroute", "accepted", "unknown"}
    assert taken.shown(NOW)["state"] == "ok"


def revive(provider: Provider, journal: Journal) -> None:
    """As the frame does at its start."""
    for name, *written in journal.entries():
        assert name == provider.account.name
        provider.account.revive(written)


def _code(answer: Any) -> str:
    """Of a call refused as a whole."""
    assert answer.keys() == {"errors"}
    [error] = answer["errors"]
    assert error.keys() == {"code", "title", "detail"}
    return str(error["code"])
