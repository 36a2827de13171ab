"""`status`: states move with the clock, by either id; unknown ids; ends by the mix."""

import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bulk_dispatch.sandbox.alphasms.account import Taken
from bulk_dispatch.sandbox.server import Mix, SandboxOptions, Timings
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, asked, codes, eventually, lines, msg, package, xml

FINALS = {102, 103, 105, 108}
NEVER = Timings(first=3600, final=(3600, 3600))


def test_the_sample_of_the_sheet_by_both_kinds_of_id(customer: Customer) -> None:
    [(_, _), (second, _)] = lines(customer.send(msg(700001), msg(700002, text="two parts " * 20)))
    eventually(lambda: customer.code(700002), FINALS.__contains__)

    body = package("status", asked(id=700001) + asked(sms_id=second["sms_id"]))
    response = customer.post(body)

    assert [child.tag for child in xml(response)] == ["status"]
    (one, _), (two, code) = lines(response)
    assert one["id"] == "700001"
    assert code == 102
    assert two == {**second, "date_completed": two["date_completed"]}
    assert (two["id"], two["sms_count"]) == ("700002", "2")


def test_the_date_of_a_final_state_is_local_and_without_zone(customer: Customer) -> None:
    customer.send(msg(1))
    eventually(lambda: customer.code(1), FINALS.__contains__)

    [(line, _)] = lines(customer.status(1))

    written = line["date_completed"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", written)
    completed = datetime.fromisoformat(written).replace(tzinfo=ZoneInfo("Europe/Kyiv"))
    assert abs(completed.timestamp() - time.time()) < 60


def test_an_open_message_has_no_date(another: Another) -> None:
    customer = another(SandboxOptions(timings=NEVER))
    customer.send(msg(1), msg(2, date_beg="2031-03-04T09:30"))

    (one, first), (two, second) = lines(customer.status(1, 2))

    assert (first, second) == (1, 100)  # accepted; scheduled
    assert "date_completed" not in one
    assert "date_completed" not in two
    assert customer.counts()["by_state"] == {"accepted": 1, "scheduled": 1}


def test_states_only_move_forward(customer: Customer) -> None:
    order = [1, 110, 101, 102]
    customer.send(msg(1))
    seen: list[int] = []

    def look() -> int:
        seen.append(customer.code(1))
        return seen[-1]

    eventually(look, FINALS.__contains__)
    assert seen == sorted(seen, key=order.index)


@pytest.mark.parametrize(
    ("now", "state"),
    [(0, 100), (9.9, 100), (10, 1), (11, 110), (15.4, 110), (15.5, 101), (20, 103), (99, 103)],
)
def test_the_state_is_read_off_the_clock(now: float, state: int) -> None:
    taken = Taken(1, 1, "+380931110001", "", "0", 1, 0, 0, begin_at=10, first_at=11, final_at=20, end=103)

    assert taken.state(now) == state


def test_a_message_expires_when_its_validity_does(another: Another) -> None:
    customer = another(SandboxOptions(timings=Timings(first=1, final=(9_000, 9_000))))
    soon = datetime.fromtimestamp(time.time() + 120, ZoneInfo("UTC"))

    customer.send(msg(1, date_end=soon.isoformat()))

    shown = customer.see("messages/1")
    assert shown["end"] == "expired"
    assert shown["final_at"] == pytest.approx(soon.timestamp())


UNKNOWN = {
    "own id": asked(id=99),
    "gateway number": asked(sms_id=99),
    "own id of letters": asked(id="abc"),
    "gateway number nought": asked(sms_id=0),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_id_is_answered_with_201(customer: Customer, name: str) -> None:
    customer.send(msg(1))

    response = customer.post(package("status", UNKNOWN[name] + asked(id=1)))

    assert codes(response)[0] == 201
    assert len(codes(response)) == 2


def test_an_unknown_own_id_has_the_documented_shape(customer: Customer) -> None:
    assert b'<msg id="99" sms_id="0">201</msg>' in customer.status(99).content


@pytest.mark.parametrize("name", UNKNOWN)
def test_or_it_is_left_out(another: Another, name: str) -> None:
    customer = another(SandboxOptions(unknown_id="left out"))
    customer.send(msg(1))

    response = customer.post(package("status", UNKNOWN[name] + asked(id=1)))

    assert [line["id"] for line, _ in lines(response)] == ["1"]


@pytest.mark.slow
def test_the_mix_decides_the_ends_and_the_same_seed_decides_them_alike(another: Another) -> None:
    mix = Mix(delivered=0.4, undeliverable=0.3, expired=0.2, rejected=0.1)
    instant = Timings(first=0, final=(0, 0))
    ends: list[list[int]] = []
    for seed in (7, 7, 8):
        customer = another(SandboxOptions(mix=mix, timings=instant, seed=seed))
        customer.send(*(msg(own, f"+38093{own:07d}") for own in range(1, 1001)))
        ends.append(codes(customer.status(*range(1, 1001))))

    same, again, other = ends
    assert same == again != other
    shares = [same.count(code) / 1000 for code in (102, 105, 103, 108)]
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.05)
    assert sum(customer.counts()["by_state"].values()) == 1000
