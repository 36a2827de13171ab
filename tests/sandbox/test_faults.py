"""Every fault by name: what the caller sees, and what was taken all the same."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from bulk_dispatch.sandbox.fault_effects import FAULTS
from tests.sandbox.customer import Customer, codes, error, eventually, ids, msg, package

FOUR = [msg(own, f"+38093111000{own}") for own in range(1, 5)]
IN_TEST_IDLE = {"drop_idle"}
IN_TEST_JOBS = {"job_failed", "job_notfound"}
IN_TEST_PUSHES = {"twice", "reversed", "late", "unknown", "early"}
IN_TEST_KILLS = {"kill_unread", "kill_before", "kill_after", "kill_answering", "kill_answered"}


@dataclass(frozen=True)
class Case:
    """A fault, how many of four messages are taken under it, and what the answer is like."""

    do: str
    taken: int
    answer: Callable[[httpx.Response], bool]
    parameters: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.do, *(f"{name}={value}" for name, value in self.parameters.items())])


def unreadable(response: httpx.Response) -> bool:
    try:
        ET.fromstring(response.content)
    except ET.ParseError:
        return response.status_code == 200
    return False


def page(response: httpx.Response) -> bool:
    return response.headers["content-type"].startswith("text/html") and b"<html>" in response.content


ANSWERED = [
    Case("slow", 4, lambda r: codes(r) == [1] * 4, {"seconds": 0.1}),
    Case("slow_before", 4, lambda r: codes(r) == [1] * 4, {"seconds": 0.1}),
    Case("http", 0, lambda r: r.status_code == 500 and page(r)),
    Case("http", 4, lambda r: r.status_code == 503, {"code": 503, "take": True}),
    Case("html", 4, lambda r: r.status_code == 200 and page(r)),
    Case("html", 0, page, {"take": False}),
    Case("empty", 4, lambda r: r.status_code == 200 and r.content == b""),
    Case("empty", 0, lambda r: r.content == b"", {"take": False}),
    Case("megabyte", 4, lambda r: r.content == b" " * 2**20),
    Case("megabyte", 0, lambda r: r.content == b" " * 2**21, {"bytes": 2**21, "take": False}),
    Case("throttle", 0, lambda r: error(r) == 212),
    Case("error", 0, lambda r: error(r) == 200, {"code": 200}),
    Case("error", 4, lambda r: error(r) == 200, {"code": 200, "take": True}),
    Case("error", 0, lambda r: error(r) == 201, {"code": 201}),
    Case("error", 0, lambda r: error(r) == 202, {"code": 202}),
    Case("error", 0, lambda r: error(r) == 205, {"code": 205}),
    Case("error", 0, lambda r: error(r) == 209, {"code": 209}),
    Case("error", 0, lambda r: error(r) == 210, {"code": 210}),
    Case("message_code", 0, lambda r: codes(r) == [206] * 4, {"code": 206}),
    Case("message_code", 2, lambda r: codes(r) == [212, 1, 212, 1], {"code": 212, "share": 0.5}),
    Case("unknown_code", 4, lambda r: codes(r) == [777] * 4),
    Case("unknown_code", 4, lambda r: codes(r) == [999] * 4, {"code": 999}),
    Case("truncated", 4, unreadable),
    Case("wrong_root", 4, lambda r: r.content.endswith(b"</message></response>") and not unreadable(r)),
    Case("wrong_encoding", 4, lambda r: unreadable(r) and b"p\0a\0c\0k" in r.content),
    Case("deep", 4, lambda r: r.content.count(b"<a>") == r.content.count(b"</a>") == 100_000),
    Case("deep", 4, lambda r: codes(r) == [1] * 4 and b"<a><a></a></a><message>" in r.content, {"levels": 2}),
    Case(
        "doctype",
        4,
        lambda r: b"<!DOCTYPE package [<!ENTITY a " in r.content and b"<package>&i;<" in r.content,
    ),
    *(
        Case("compressed", 4, lambda r: codes(r) == [1] * 4, {"coding": coding})
        for coding in ("gzip", "deflate", "br")  # as far as httpx reads them
    ),
    Case("compressed", 4, lambda r: r.content[:4] == b"\x28\xb5\x2f\xfd", {"coding": "zstd"}),
    Case("compressed", 4, lambda r: codes(r) == [1] * 4, {"coding": "bare deflate"}),
    Case("compressed", 4, lambda r: r.content[:2] == b"\x1f\x8b", {"coding": "unlabelled gzip"}),
    Case("noisy", 4, lambda r: b"Warning" in r.content and unreadable(r), {"noise": "warning"}),
    Case("noisy", 4, lambda r: r.content.startswith(b"\nNotice: "), {"noise": "notice"}),
    Case("noisy", 4, lambda r: r.content.endswith(b"</b><br />\n"), {"noise": "last words"}),
    Case("noisy", 4, lambda r: r.content.startswith(b"<!-- served"), {"noise": "comments"}),
    Case("noisy", 4, lambda r: r.content.endswith(b"\0\0\x1a") and unreadable(r), {"noise": "marks"}),
    Case("wrong_order", 4, lambda r: ids(r) == ["4", "3", "2", "1"]),
    Case("missing", 4, lambda r: ids(r) == ["2", "4"]),
    Case("missing", 4, lambda r: ids(r) == ["2", "3", "4"], {"share": 0.1}),
    Case("missing", 4, lambda r: ids(r) == [], {"share": 1}),
    Case("extra", 4, lambda r: ids(r)[:4] == ["1", "2", "3", "4"] and len(ids(r)) == 5),
    Case("extra", 4, lambda r: len(set(ids(r))) == 7, {"count": 3}),
    Case("duplicate_items", 4, lambda r: ids(r) == ["1", "1", "2", "2", "3", "3", "4", "4"]),
]

HUNG_UP = [
    Case("drop_before", 0, lambda _: False),
    Case("drop_after", 4, lambda _: False),
    Case("cut", 4, lambda _: False),
]


def test_every_fault_has_a_case() -> None:
    elsewhere = IN_TEST_IDLE | IN_TEST_JOBS | IN_TEST_KILLS | IN_TEST_PUSHES
    assert {case.do for case in ANSWERED + HUNG_UP} | elsewhere == set(FAULTS)


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_a_fault_with_an_answer(customer: Customer, case: Case) -> None:
    customer.script({"do": case.do, "times": 1, **case.parameters})

    response = customer.send(*FOUR)

    assert case.answer(response), response.text[:500]
    assert customer.taken() == case.taken
    assert sorted(codes(customer.send(*FOUR))) == [1] * (4 - case.taken) + [208] * case.taken


@pytest.mark.parametrize("case", HUNG_UP, ids=str)
@pytest.mark.parametrize("command", ["message", "message-async"])
def test_a_fault_without_an_answer(customer: Customer, case: Case, command: str) -> None:
    customer.script({"do": case.do, "times": 1})

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        customer.send(*FOUR, command=command)

    assert customer.taken() == case.taken
    assert sorted(codes(customer.send(*FOUR))) == [1] * (4 - case.taken) + [208] * case.taken


def test_given_an_idle_connection_when_it_is_used_again_then_it_closes_and_nothing_is_taken(
    customer: Customer,
) -> None:
    document = package("message", FOUR[0])
    customer.script({"do": "drop_idle", "seconds": 3600})
    with httpx.Client(base_url=customer.http.base_url, trust_env=False) as client:
        assert [codes(client.post("/api/xml.php", content=document)) for _ in range(2)] == [[1], [208]]

    customer.script({"do": "drop_idle", "seconds": 0})
    document = package("message", FOUR[1])
    with httpx.Client(base_url=customer.http.base_url, trust_env=False) as client:
        assert codes(client.post("/api/xml.php", content=document)) == [1]
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/api/xml.php", content=package("message", FOUR[2]))

    assert customer.taken() == 2
    assert [rule["hits"] for rule in customer.see("faults")] == [1]


def test_slow_takes_first_and_answers_late(customer: Customer) -> None:
    customer.script({"do": "slow", "seconds": 3600, "times": 1})

    with pytest.raises(httpx.ReadTimeout):
        customer.http.post("/api/xml.php", content=package("message", FOUR[0]), timeout=0.3)

    assert customer.taken() == 1


@pytest.mark.slow
def test_slow_before_takes_after_the_caller_has_gone(customer: Customer) -> None:
    customer.script({"do": "slow_before", "seconds": 1, "times": 1})

    with pytest.raises(httpx.ReadTimeout):
        customer.http.post("/api/xml.php", content=package("message", FOUR[0]), timeout=0.3)

    assert customer.taken() == 0
    assert customer.code(1) == 201  # not known, and yet to come
    eventually(customer.taken, lambda taken: taken == 1)


def test_a_reset_lets_go_those_who_wait_and_takes_nothing_from_them(customer: Customer) -> None:
    customer.script({"do": "slow_before", "seconds": 3600})
    with pytest.raises(httpx.ReadTimeout):
        customer.http.post("/api/xml.php", content=package("message", FOUR[0]), timeout=0.3)

    customer.http.post("/sandbox/reset")

    assert codes(customer.send(FOUR[0])) == [1]
    assert customer.counts()["requests"] == {"message": 1}
    assert customer.counts()["repeats_refused"] == 0


@pytest.mark.parametrize(
    ("do", "seen"),
    [
        ({"do": "message_code", "code": 201, "share": 0.5}, [201, 102, 201, 102]),
        ({"do": "unknown_code"}, [777] * 4),
        ({"do": "missing"}, [102, 102]),
        ({"do": "duplicate_items"}, [102] * 8),
    ],
)
def test_status_may_lie(customer: Customer, do: dict[str, Any], seen: list[int]) -> None:
    customer.send(*FOUR)
    eventually(lambda: codes(customer.status(1, 2, 3, 4)), lambda now: now == [102] * 4)
    customer.script({**do, "when": {"command": "status"}, "times": 1})

    assert codes(customer.status(1, 2, 3, 4)) == seen
    assert codes(customer.status(1, 2, 3, 4)) == [102] * 4


@pytest.mark.parametrize("do", ["truncated", "html", "empty", "wrong_root", "cut", "drop_after", "throttle"])
def test_job_and_status_meet_the_faults_of_the_wire_too(customer: Customer, do: str) -> None:
    job = customer.submit(*FOUR)
    customer.script({"do": do, "when": {"command": "job"}}, {"do": do, "when": {"command": "status"}})

    for body in (package("job", job), package("status", '<msg id="1"/>')):
        try:
            answer = customer.post(body).content
        except httpx.TransportError:
            answer = b""
        assert not answer.endswith((b"</job></package>", b"</status></package>"))
    assert [rule["hits"] for rule in customer.see("faults")] == [1, 1]


def test_the_connection_serves_again_after_a_fault_with_an_answer(customer: Customer) -> None:
    customer.script({"do": "truncated", "times": 1})

    customer.send(FOUR[0])

    assert codes(customer.send(FOUR[1])) == [1]
