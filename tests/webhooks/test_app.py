"""Receipts over real HTTP: whoever may come in is heard, once it is committed, and nobody else is."""

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.webhooks.app import BODY_MOST
from tests.webhooks.world import OPEN, SECRET, World, make_lines, opened

STATE = {"message_id": "1930011223301", "message_state": "delivered"}


def turned_away(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What our log says, all of which is about refusals; and nothing of what came in."""
    said = [one.getMessage() for one in caplog.records if one.name.startswith(("bulk_dispatch", "uvicorn"))]
    assert not [line for line in said if SECRET in line or STATE["message_id"] in line or "nobody" in line]
    return said


# -- what is brought


def test_a_form_is_answered_after_its_commit(world: World) -> None:
    [name] = world.sent()
    said = world.form(name)
    assert (said.status_code, said.text, said.headers["content-type"]) == (200, "OK", "text/plain")
    assert world.statuses() == ["delivered"]


def test_a_document_is_acknowledged_by_its_ids(world: World) -> None:
    names = world.sent(3, route="xml")
    said = world.xml([*names, "9100999"])
    assert said.status_code == 200
    assert said.headers["content-type"].startswith("text/xml")
    assert all(f"<id_sms>{name}</id_sms>" in said.text for name in (*names, "9100999"))
    assert world.statuses() == ["delivered"] * 3
    assert world.kept() == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hint_may_stand_in_the_address(world: World, method: str) -> None:
    world.sent(route="alpha")
    reference = world.book.one("SELECT reference FROM messages")
    world.book.rows("INSERT INTO provider_message_ids SELECT route, reference, id FROM messages")
    said = world.http.request(
        method, f"/receipts/alpha/{SECRET}", params={"id": reference, "status": "DELIVERED"}
    )
    assert (said.status_code, world.statuses()) == (200, ["sent"])
    assert world.book.one("SELECT poll_at < now() + CAST('2 s' AS interval) FROM packages")


@pytest.mark.parametrize("slash", ["", "/"])
def test_given_a_receipt_by_get_when_it_comes_then_it_is_taken_and_not_logged(
    world: World, slash: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SMARTSwitch's operator chooses how, and it says a state once."""
    [name] = world.sent()
    fields = {"message_id": name, "message_state": "delivered"}

    with caplog.at_level(logging.DEBUG):
        said = world.get(f"/receipts/form/{SECRET}{slash}", params=fields)

    assert (said.status_code, said.text, world.statuses()) == (200, "OK", ["delivered"])
    ours = "".join(
        one.getMessage() for one in caplog.records if one.name.startswith(("bulk_dispatch", "uvicorn"))
    )
    assert name not in ours
    assert SECRET not in ours


def test_given_fields_of_the_operators_own_when_they_come_by_get_then_the_settings_name_them(
    ledger: Ledger,
) -> None:
    named = {"options": {"receipt_id": "id", "receipt_state": "stat"}}
    with opened(ledger, make_lines(form=named)) as world:
        [name] = world.sent()
        said = world.get(f"/receipts/form/{SECRET}", params={"id": name, "stat": "UNDELIVERABLE", "n": "1"})

        assert (said.status_code, world.statuses()) == (200, ["undeliverable"])


@pytest.mark.parametrize("route", OPEN)
def test_given_an_address_with_a_slash_when_a_receipt_is_posted_then_it_is_taken(
    world: World, route: str
) -> None:
    [name] = world.sent(route=route)
    bodies = {
        "form": f"message_id={name}&message_state=delivered",
        "xml": f'<response><state id_sms="{name}" time="2031-05-01 09:31:07">deliver</state></response>',
        "alpha": f"id={name}&status=DELIVERED",
    }

    said = world.http.post(f"/receipts/{route}/{SECRET}/", content=bodies[route].encode())

    assert said.status_code == 200
    assert world.statuses() == ["sent" if route == "alpha" else "delivered"]  # there it is a hint


@pytest.mark.parametrize("state", ["delivered", "expired", "undeliverable", "rejected"])
def test_every_end_comes_through(world: World, state: str) -> None:
    [name] = world.sent()
    assert world.form(name, "enroute").status_code == 200
    assert world.statuses() == ["sent"]
    world.form(name, state)
    assert world.statuses() == [state]


def test_an_end_of_what_is_in_doubt_settles_the_doubt(world: World) -> None:
    names = world.sent(2, route="xml", status=Status.IN_DOUBT)
    assert world.xml(names[:1], "read").status_code == 200
    assert world.statuses() == ["delivered", "in_doubt"]
    assert world.kept() == 0


def test_twice_and_out_of_order_changes_nothing_more(world: World) -> None:
    [name] = world.sent()
    said = [world.form(name, state).status_code for state in ("delivered", "delivered", "expired", "enroute")]
    assert said == [200] * 4
    assert world.statuses() == ["delivered"]
    assert world.book.one("SELECT count(*) FROM events WHERE type = 'report'") == 1


def test_what_is_unknown_is_taken_and_kept(world: World) -> None:
    assert world.form("1930011223301").status_code == 200
    assert world.kept() == 1


@pytest.mark.slow
def test_many_at_once_are_all_answered_and_all_written(world: World) -> None:
    names = world.sent(300)
    with ThreadPoolExecutor(20) as many:
        said = list(many.map(lambda name: world.form(name).status_code, names))
    assert said == [200] * 300
    assert world.statuses() == ["delivered"] * 300


def test_a_body_may_come_in_pieces_and_without_a_length(world: World) -> None:
    [name] = world.sent()

    def pieces() -> Iterator[bytes]:
        yield b"message_id="
        yield name.encode()
        yield b"&message_state=delivered"

    assert world.push("form", pieces(), "application/x-www-form-urlencoded").status_code == 200
    assert world.statuses() == ["delivered"]


# -- who is not let in


@pytest.mark.parametrize(
    "path",
    [
        "/receipts/form/another-secret-of-some-length",
        f"/receipts/form/{SECRET}x",
        f"/receipts/form/{SECRET[:-1]}",
        f"/receipts/form/{SECRET.upper()}",
        f"/receipts/form/{SECRET}//",
        f"/receipts/form/{SECRET}/more",
        f"/receipts/form/{SECRET}x/",
        "/receipts/form/",
        "/receipts/form/%00%FF%F0%9F%98%80",
        f"/receipts/nobody/{SECRET}",
        f"/receipts//{SECRET}",
        "/receipts/form",
        "/receipts",
        "/",
        "/health/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_every_other_address_is_the_same_nothing(world: World, method: str, path: str) -> None:
    [name] = world.sent()
    said = world.http.request(method, path, data={"message_id": name, "message_state": "delivered"})
    assert (said.status_code, said.text) == (404, "not found")
    assert set(said.headers) == {"content-type", "content-length", "date"}
    assert world.statuses() == ["sent"]


@pytest.mark.parametrize("route", OPEN)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS"])
def test_given_the_secret_when_another_method_comes_then_it_is_refused_and_counted(
    world: World, route: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = world.http.request(method, f"/receipts/{route}/{SECRET}", params=STATE)

    assert said.status_code == 405
    assert turned_away(caplog) == [f"receipts_turned_away route={route} reason=405 count=1"]


@pytest.mark.parametrize("route", OPEN)
def test_given_the_secret_when_get_says_nothing_then_it_is_refused_and_counted(
    world: World, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert world.get(f"/receipts/{route}/{SECRET}").status_code == 400

    assert turned_away(caplog) == [f"receipts_turned_away route={route} reason=400 count=1"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/receipts/form/another-secret-of-some-length", "form"),
        ("/receipts/form/another-secret-of-some-length/", "form"),
        (f"/receipts/nobody-we-know/{SECRET}", "-"),
        ("/elsewhere", "-"),
    ],
)
def test_given_a_wrong_address_when_it_is_refused_then_it_is_counted_by_a_route_of_ours_alone(
    world: World, path: str, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert world.get(path, params=STATE).status_code == 404

    assert turned_away(caplog) == [f"receipts_turned_away route={route} reason=stranger count=1"]


def test_given_refusals_in_a_row_when_nobody_comes_again_then_the_end_tells_them_all(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), opened(ledger, make_lines(**OPEN)) as world:
        for _ in range(4):
            world.http.put(f"/receipts/form/{SECRET}")
        world.get("/receipts/xml/another-secret-of-some-length")

    counted = [line.removeprefix("receipts_turned_away ") for line in turned_away(caplog)]
    assert counted == [
        "route=form reason=405 count=1",
        "route=form reason=405 count=3",
        "route=xml reason=stranger count=1",
    ]


@pytest.mark.parametrize(
    ("allowed", "caller", "status"),
    [
        ("", "203.0.113.7", 200),
        ("203.0.113.7", "203.0.113.7", 200),
        ("192.0.2.0/24, 203.0.113.0/24", "203.0.113.7", 200),
        ("203.0.113.0/24", "::ffff:203.0.113.7", 200),
        ("2001:db8::/32", "2001:db8::7", 200),
        ("203.0.113.8", "203.0.113.7", 404),
        ("192.0.2.0/24", "203.0.113.7", 404),
        ("0.0.0.0/0", "2001:db8::7", 404),
        ("0.0.0.0/0", "unknown", 404),
    ],
)
def test_callers_are_told_apart_by_their_address(
    ledger: Ledger, allowed: str, caller: str, status: int
) -> None:
    """Which a proxy says that is believed: here every one on this machine."""
    with opened(ledger, make_lines(form={"webhook_allow_from": allowed})) as world:
        [name] = world.sent()
        assert world.form(name, headers={"x-forwarded-for": caller}).status_code == status
        assert world.statuses() == ["delivered" if status == 200 else "sent"]


def test_a_proxy_that_is_not_trusted_is_a_caller_like_any_other(ledger: Ledger) -> None:
    lines = make_lines(form={"webhook_allow_from": "203.0.113.7"})
    with opened(ledger, lines, trusted_proxies="192.0.2.1") as world:
        assert world.form("1", headers={"x-forwarded-for": "203.0.113.7"}).status_code == 404


# -- what is too much


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_is_bounded_while_it_is_read(world: World, declared: bool) -> None:
    size = 4 * BODY_MOST
    body = b"x" * size if declared else (b"x" * 65_536 for _ in range(size // 65_536))
    assert world.push("form", body).status_code == 413
    [name] = world.sent()
    assert world.form(name).status_code == 200  # on the same connection


def test_a_body_of_the_largest_size_is_read(world: World) -> None:
    [name] = world.sent()
    fields = f"message_id={name}&message_state=delivered&text="
    said = world.push("form", fields.ljust(BODY_MOST, "x").encode(), "application/x-www-form-urlencoded")
    assert said.status_code in (200, 400)  # as its dialect likes it
    assert world.push("form", b"x" * (BODY_MOST + 1)).status_code == 413


def test_who_comes_too_fast_is_told_when_to_come_again(ledger: Ledger) -> None:
    with opened(ledger, make_lines(form={"webhook_per_second": 2}, xml=OPEN["xml"])) as world:
        said = [world.form("1") for _ in range(5)]
        late = [one for one in said if one.status_code == 429]
        assert len(late) >= 2
        assert {one.headers["retry-after"] for one in late} == {"1"}
        assert world.xml(["1"]).status_code == 200  # another route


def test_receipts_are_counted_and_not_calls(ledger: Ledger) -> None:
    with opened(ledger, make_lines(xml={**OPEN["xml"], "webhook_per_second": 10})) as world:
        assert world.xml([str(number) for number in range(1, 101)]).status_code == 200
        late = world.xml(["1"])
        assert (late.status_code, int(late.headers["retry-after"])) in [(429, 9), (429, 10)]


# -- what cannot be understood

BAD = {
    "empty": b"",
    "blanks": b" " * 1000,
    "html": b"<html><body>Gateway timeout</body></html>",
    "truncated": b'<response><state id_sms="1" time="" sms="deli',
    "doctype": b'<!DOCTYPE r [<!ENTITY e "x">]><response><state id_sms="1">&e;</state></response>',
    "nested": b"<response>" * 5000,
    "noise": bytes(range(256)) * 10,
    "json": b'{"message_id": {"a": []}}',
}


@pytest.mark.parametrize("route", OPEN)
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_cannot_be_understood_is_refused_and_counted_without_its_content(
    world: World, route: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = world.push(route, body)
    assert (said.status_code, said.text) == (400, "cannot be understood")
    ours = [one.getMessage() for one in caplog.records if one.name.startswith(("bulk_dispatch", "uvicorn"))]
    assert ours == [f"receipts_turned_away route={route} reason=400 count=1"]
    assert world.get("/health").status_code == 200


@pytest.mark.parametrize("name", ["%00", "1%00", "%ED%A0%80", "%0A", "9" * 10_000])
def test_no_id_can_stop_the_others(world: World, name: str) -> None:
    good = world.sent(20)
    with ThreadPoolExecutor(20) as many:
        bad = many.submit(world.push, "form", f"message_id={name}&message_state=delivered".encode())
        said = list(many.map(lambda one: world.form(one).status_code, good))
    assert bad.result().status_code in (200, 400)
    assert said == [200] * 20
    assert world.statuses() == ["delivered"] * 20


def test_who_hangs_up_is_nobodys_concern(world: World) -> None:
    place = urlsplit(world.url)
    started = f"POST /receipts/form/{SECRET} HTTP/1.1\r\nHost: w\r\nContent-Length: 9\r\n\r\nmess"
    for said in (b"", b"POST", started.encode()):
        with socket.create_connection((place.hostname, place.port)) as call:
            call.sendall(said)
    assert world.get("/health").status_code == 200


@pytest.mark.slow
def test_who_says_nothing_or_never_ends_his_head_is_hung_up_on(world: World) -> None:
    """Held connections would close the door to all others."""
    place = urlsplit(world.url)
    with (
        socket.create_connection((place.hostname, place.port), 30) as silent,
        socket.create_connection((place.hostname, place.port), 30) as endless,
        suppress(ConnectionError),
    ):
        endless.sendall(b"GET /health HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            for _ in range(100):
                endless.sendall(b"x" * 4096)
            assert endless.recv(1) == b""
        assert silent.recv(1) == b""
    assert world.get("/health").status_code == 200
