"""The script of faults: which request meets which rule, and what a wrong rule is told."""

from typing import Any

import pytest

from tests.sandbox.customer import Customer, codes, error, msg

THROTTLE = {"do": "throttle"}


def test_skip_lets_some_through_and_times_ends_it(customer: Customer) -> None:
    customer.script({**THROTTLE, "skip": 1, "times": 2})

    seen = [error(customer.send(msg(own))) for own in range(1, 5)]

    assert seen == [None, 212, 212, None]
    assert customer.see("faults") == [{"do": "throttle", "skip": 1, "times": 2, "seen": 4, "hits": 2}]


@pytest.mark.parametrize("rule", [THROTTLE, {**THROTTLE, "times": None}])
def test_without_times_it_goes_on_for_ever(customer: Customer, rule: dict[str, Any]) -> None:
    customer.script(rule)

    assert [error(customer.send(msg(own))) for own in range(1, 6)] == [212] * 5
    assert customer.http.delete("/sandbox/faults").json() == []
    assert codes(customer.send(msg(1))) == [1]


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ({}, ["message", "message-async", "status"]),
        ({"command": "*"}, ["message", "message-async", "status"]),
        ({"command": "message"}, ["message"]),
        ({"command": "status"}, ["status"]),
        ({"recipient": "+380931110002"}, ["message", "message-async"]),
        ({"recipient": "380931110002", "command": "message-async"}, ["message-async"]),
        ({"recipient": "+380931110003"}, []),
    ],
)
def test_when_picks_requests(customer: Customer, when: dict[str, str], met: list[str]) -> None:
    customer.script({**THROTTLE, "when": when})
    pair = (msg(1), msg(2, recipient="+380931110002"))

    responses = {
        "message": customer.send(*pair),
        "message-async": customer.send(*pair, command="message-async"),
        "status": customer.status(1),
    }

    assert [command for command, response in responses.items() if error(response)] == met


def test_the_first_rule_that_is_due_is_the_one(customer: Customer) -> None:
    customer.script({"do": "error", "code": 209, "skip": 1, "times": 1}, THROTTLE)

    assert [error(customer.send(msg(own))) for own in range(1, 4)] == [212, 209, 212]


def test_a_fault_for_any_command_applies_only_where_it_has_a_meaning(customer: Customer) -> None:
    customer.script({"do": "job_failed", "share": 0})

    assert codes(customer.send(msg(1))) == [1]
    assert codes(customer.status(1)) != [201]
    assert customer.see("faults")[0]["seen"] == 0


def test_strangers_do_not_use_up_the_script(customer: Customer) -> None:
    customer.script({**THROTTLE, "times": 1})

    assert error(customer.post('<package key="guess"><status><msg id="1"/></status></package>')) == 202
    assert error(customer.send(msg(1))) == 212


WRONG: list[tuple[Any, str]] = [
    ({"do": "slow"}, "a script is a list of rules"),
    ("slow", "a script is a list of rules"),
    (["slow"], "rule 1: a rule is an object"),
    ([{}], "rule 1: there is no fault None; there are slow, "),
    ([THROTTLE, {"do": "explode"}], "rule 2: there is no fault 'explode'; there are slow, "),
    ([{"do": ["slow"]}], "rule 1: there is no fault ['slow']"),
    (
        [{"do": "slow", "second": 1}],
        "rule 1: slow has no field 'second'; it has do, seconds, skip, times, when",
    ),
    ([{"do": "throttle", "seconds": 1}], "rule 1: throttle has no field 'seconds'"),
    ([{"do": "slow", "seconds": "1"}], "rule 1: seconds must be a float, not '1'"),
    ([{"do": "slow", "seconds": True}], "rule 1: seconds must be a float, not True"),
    ([{"do": "slow", "seconds": -1}], "rule 1: seconds must be between 0 and 3600, not -1"),
    ([{"do": "http", "take": 1}], "rule 1: take must be a bool, not 1"),
    ([{"do": "http", "code": 200}], "rule 1: code must be between 400 and 599, not 200"),
    ([{"do": "error"}], "rule 1: error needs code"),
    (
        [{"do": "error", "code": 203, "when": {"provider": "alphasms-xml"}}],
        "rule 1: code must be one of [200, 201, 202, 205, 209, 210, 212], not 203",
    ),
    ([{"do": "error", "code": True}], "rule 1: code must be a number or a word, not True"),
    ([{"do": "error", "code": 203.5}], "rule 1: code must be a number or a word, not 203.5"),
    ([{"do": "missing", "share": 2}], "rule 1: share must be between 0 and 1, not 2"),
    ([{"do": "slow", "skip": -1}], "rule 1: skip is a whole number, not -1"),
    ([{"do": "slow", "times": 1.5}], "rule 1: times is a whole number, not 1.5"),
    ([{"do": "slow", "when": "message"}], "rule 1: when is an object"),
    (
        [{"do": "slow", "when": {"sender": "x"}}],
        "rule 1: when has no field 'sender'; it has command, provider, recipient",
    ),
    (
        [{"do": "slow", "when": {"command": "teleport"}}],
        "rule 1: there is no command 'teleport'; there are balance, ",
    ),
    (
        [{"do": "slow", "when": {"provider": "post"}}],
        "rule 1: there is no provider 'post'; there are alphasms-xml, ",
    ),
    ([{"do": "slow", "when": {"provider": []}}], "rule 1: there is no provider []; there are alphasms-xml, "),
    (
        [{"do": "slow", "when": {"provider": "smartswitch", "command": "job"}}],
        "rule 1: slow has no meaning for job at smartswitch",
    ),
    ([{"do": "slow", "when": {"command": "push"}}], "rule 1: slow has no meaning for push"),
    ([{"do": "twice", "when": {"command": "send"}}], "rule 1: twice has no meaning for send"),
    (
        [{"do": "doctype", "when": {"provider": "smartswitch"}}],
        "rule 1: smartswitch does not answer in XML",
    ),
    ([{"do": "slow", "when": {"command": []}}], "rule 1: there is no command []"),
    ([{"do": "slow", "when": {"recipient": 380931110001}}], "rule 1: recipient is a string"),
    ([{"do": "missing", "when": {"command": "job"}}], "rule 1: missing has no meaning for job"),
    ([{"do": "job_failed", "when": {"command": "message"}}], "rule 1: job_failed has no meaning for message"),
    (
        [{"do": "slow", "when": {"command": "status", "recipient": "+380931110001"}}],
        "rule 1: slow has no meaning for status by recipient",
    ),
]


@pytest.mark.parametrize(("script", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_script_is_told_why_and_the_old_one_stays(customer: Customer, script: Any, told: str) -> None:
    customer.script(THROTTLE)

    response = customer.http.post("/sandbox/faults", json=script)

    assert response.status_code == 400
    assert response.json()["error"].startswith(told)
    assert customer.see("faults") == [{"do": "throttle", "seen": 0, "hits": 0}]


@pytest.mark.parametrize("body", [b"", b"[", b"\xff"])
def test_a_script_that_is_not_json(customer: Customer, body: bytes) -> None:
    response = customer.http.post("/sandbox/faults", content=body)

    assert (response.status_code, response.json()) == (400, {"error": "this is not JSON"})
