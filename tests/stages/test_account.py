"""Account: the money and the clock of a provider are looked at, kept, and warned of; its lists are read."""

import logging
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.provider_account import TRUSTED
from bulk_dispatch.providers.account import Price, Scheduled, Scheduling
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Account, Reply
from bulk_dispatch.providers.webcom.xml import WebcomXml
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.account import (
    BalanceReading,
    Imported,
    Watched,
    ask_balance,
    ask_clock,
    ask_prices,
    ask_scheduled,
    can_be_watched,
    import_stop_list,
    watch,
)
from bulk_dispatch.timezones import zone
from tests.factories import message
from tests.stages.world import KEY, KIND, LOGIN, PASSWORD, OpenWorld, World

WEBCOM: dict[str, object] = {"provider": "webcom-xml", "token": KEY, "schedule_ahead": "2h"}
SMARTSWITCH: dict[str, object] = {
    "provider": "smartswitch",
    "login": LOGIN,
    "password": PASSWORD,
}
FAR = {**WEBCOM, "zone": "Asia/Tokyo"}  # six hours from Moscow, all the year
HOUR = timedelta(hours=1)


def with_money(money: float) -> SandboxOptions:
    return replace(KIND, alphasms=AlphasmsOptions(money=money))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def pages_of(world: World) -> list[Sequence[Scheduled] | Failure]:
    """What the provider of alpha holds, as it is listed."""
    asked = ask_scheduled(world.runtime, world.line())
    assert asked is not None
    return list(asked)


def campaigns_of(world: World) -> list[str]:
    """The campaigns of what webcom holds for alpha, as its cabinet would show them."""
    line = world.line()
    assert isinstance(line.dialect, Scheduling)
    page = world.runtime.exchange(line.config, line.dialect.scheduled(1))
    assert isinstance(page, Reply)
    return re.findall(r'name_delivery="(.*?)"', page.body.decode())


def listed(world: World) -> list[list[Scheduled]]:
    """The same, all of it there."""
    pages = pages_of(world)
    return [list(page) for page in pages if not isinstance(page, Failure)]


# -- money


def test_the_money_left_is_kept(open_world: OpenWorld, caplog: pytest.LogCaptureFixture) -> None:
    world = open_world(provider=with_money(12.5))

    assert watch(world.runtime, "alpha") == Watched(balance=Decimal("12.5"))

    row = world.route()
    assert (row.balance, row.currency) == (Decimal("12.5"), "UAH")
    assert world.rows("SELECT now() - balance_at < interval '1 minute' FROM routes WHERE name = 'alpha'")[0][
        0
    ]
    assert warnings(caplog) == []


@pytest.mark.parametrize(("money", "low"), [(99.99, True), (100, False), (100.01, False), (-3, True)])
def test_who_has_less_than_the_least_is_told_at_each_look(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, money: float, low: bool
) -> None:
    world = open_world(provider=with_money(money), alpha={"balance_warn_below": 100})

    watch(world.runtime, "alpha")
    watch(world.runtime, "alpha")

    said = [line for line in warnings(caplog) if line.startswith("balance_low route=alpha balance=")]
    assert len(said) == (2 if low else 0)
    assert all(line.endswith("least=100") for line in said)
    assert world.route().state == "active"


def test_without_a_least_nobody_is_warned(open_world: OpenWorld, caplog: pytest.LogCaptureFixture) -> None:
    world = open_world(provider=with_money(-1))

    watch(world.runtime, "alpha")

    assert warnings(caplog) == []


@pytest.mark.parametrize("fault", ["drop_before", "http", "empty", "html", "truncated", "megabyte"])
def test_no_answer_leaves_what_was_known_and_the_route_open(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    world = open_world(provider=with_money(7))
    watch(world.runtime, "alpha")
    world.provider.script({"when": {"command": "balance"}, "do": fault})

    assert watch(world.runtime, "alpha") == Watched()

    assert world.route().balance == Decimal(7)
    assert world.route().state == "active"
    assert [line.split()[0] for line in warnings(caplog)] == ["balance_failed"]


def test_refused_credentials_do_not_close_the_route_here(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_world(alpha={"key": "hush-4711"})

    answer = ask_balance(world.runtime, world.line())

    assert isinstance(answer, Failure)
    assert answer.name == "credentials"
    assert world.route().state == "active"
    watch(world.runtime, "alpha")
    assert "hush" not in caplog.text


def test_who_cannot_be_asked_is_not_asked(open_world: OpenWorld) -> None:
    world = open_world(alpha=SMARTSWITCH)
    line = world.line()

    assert not can_be_watched(line)
    assert watch(world.runtime, "alpha") == Watched()
    assert ask_balance(world.runtime, line) is None
    assert ask_clock(world.runtime, line) is None
    assert ask_prices(world.runtime, line, ["+380930000001"]) is None
    assert ask_scheduled(world.runtime, line) is None
    assert import_stop_list(world.runtime, line, "reason") is None


# -- the clock


@pytest.mark.parametrize("shape", ["full", "clock"])
def test_a_clock_that_is_right_says_so(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, shape: str
) -> None:
    options = WebcomOptions(time_shape=shape)  # type: ignore[arg-type]
    world = open_world(provider=replace(KIND, webcom=options), alpha=WEBCOM)

    found = watch(world.runtime, "alpha")

    assert found.clock_skew is not None
    assert abs(found.clock_skew) < timedelta(minutes=1)
    assert world.route().clock_skew == found.clock_skew
    assert warnings(caplog) == []


def test_a_clock_in_another_zone_is_told_at_each_look(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_world(alpha=FAR)

    watch(world.runtime, "alpha")
    watch(world.runtime, "alpha")

    assert round(world.route().clock_skew / HOUR) == -6
    said = warnings(caplog)
    assert len(said) == 2
    assert all(line.startswith("clock_skew route=alpha ahead=-21") for line in said)


def test_no_time_leaves_what_was_known(open_world: OpenWorld, caplog: pytest.LogCaptureFixture) -> None:
    world = open_world(alpha=WEBCOM)
    watch(world.runtime, "alpha")
    known = world.route().clock_skew
    world.provider.script({"when": {"command": "time"}, "do": "truncated"})

    assert watch(world.runtime, "alpha").clock_skew is None

    assert world.route().clock_skew == known
    assert [line.split()[0] for line in warnings(caplog)] == ["clock_failed"]


def test_who_has_the_right_time_is_given_messages_before_theirs(open_world: OpenWorld) -> None:
    world = open_world(alpha=WEBCOM)
    watch(world.runtime, "alpha")
    world.enqueue([message(1, send_at=datetime.now(UTC) + HOUR)])

    assert world.dispatch().messages == 1

    [[told]] = listed(world)
    assert told.recipient == "+380930000001"
    assert told.send_at is not None
    assert abs(told.send_at - world.message().send_at) <= timedelta(minutes=1)


def clocks_that_go_back(at: datetime) -> ZoneInfo:
    """A zone three hours ahead of Greenwich, and from then on two (a file as RFC 8536 has it, version 1)."""
    kinds = struct.pack(">iBBiBB", 3 * 3600, 1, 0, 2 * 3600, 0, 4)
    changes = struct.pack(">iiBB", 0, int(at.timestamp()), 0, 1)
    head = b"TZif" + bytes(16) + struct.pack(">6i", 0, 0, 0, 2, 2, 8)
    return ZoneInfo.from_file(BytesIO(head + changes + kinds + b"SUM\0WIN\0"), key="Of/This_Test")


def test_given_a_time_that_their_clock_shows_twice_then_the_message_waits_here_until_then(
    open_world: OpenWorld,
) -> None:
    world = open_world(alpha=WEBCOM)
    watch(world.runtime, "alpha")
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    account = Account(world.line().config.url, token=KEY, zone=zone("Europe/Moscow"))
    speaker = WebcomXml(account)
    speaker.zone = clocks_that_go_back(now + 45 * minute)  # an hour comes twice until 1:45 from now
    line = replace(world.line(), dialect=speaker)
    world = replace(world, runtime=replace(world.runtime, routes={"alpha": line}))
    world.enqueue([message(number, send_at=now + after * minute) for number, after in ((1, 10), (2, 110))])

    assert world.dispatch().messages == 1
    [[told]] = listed(world)
    assert told.recipient == "+380930000002"

    world.passes(minutes=11)
    assert world.dispatch().messages == 1
    assert len(listed(world)[0]) == 1  # it has left, and is not held


def test_who_has_another_time_is_given_nothing_before_its_time(open_world: OpenWorld) -> None:
    world = open_world(alpha=FAR)
    watch(world.runtime, "alpha")
    world.enqueue([message(1, send_at=datetime.now(UTC) + HOUR), message(2)])

    assert world.dispatch().messages == 1
    assert world.message(1).status == "queued"

    world.rows("UPDATE routes SET clock_skew = :just RETURNING 1", just=-TRUSTED)
    assert world.dispatch().messages == 1
    assert world.statuses() == {Status.SENT: 2}


# -- prices and lists


def test_prices_are_asked_for_in_as_many_requests_as_it_takes(open_world: OpenWorld) -> None:
    world = open_world(alpha={"provider": "alphasms-http"})
    numbers = ["+380930000001", "+380930000002", "+380930000003"]

    found = ask_prices(world.runtime, world.line(), numbers)

    assert found == dict.fromkeys(numbers, Price(Decimal("0.91"), "UAH"))


def test_prices_without_an_answer_are_a_failure(world: World) -> None:
    world.provider.script({"when": {"command": "prices"}, "do": "html"})

    assert isinstance(ask_prices(world.runtime, world.line(), ["+380930000001"]), Failure)


def test_what_they_hold_is_listed_page_by_page(open_world: OpenWorld) -> None:
    world = open_world(provider=replace(KIND, webcom=WebcomOptions(page_items=2)), alpha=WEBCOM)
    world.enqueue([message(number, send_at=datetime.now(UTC) + HOUR) for number in range(1, 6)])
    watch(world.runtime, "alpha")  # their clock is trusted once it was read
    world.dispatch()

    assert [len(page) for page in listed(world)] == [2, 2, 1]


@pytest.mark.parametrize(("told", "shown"), [("true", {"May", "June"}), ("false", {""})])
def test_what_they_hold_stands_under_its_campaign_if_they_are_told(
    open_world: OpenWorld, told: str, shown: set[str]
) -> None:
    world = open_world(alpha={**WEBCOM, "campaign_name": told})
    later = datetime.now(UTC) + HOUR
    names = ["May", "June", "May"]
    world.enqueue([message(n, text="A", campaign=name, send_at=later) for n, name in enumerate(names, 1)])
    watch(world.runtime, "alpha")  # their clock is trusted once it was read

    assert world.dispatch().messages == 3

    assert set(campaigns_of(world)) == shown


def test_a_list_that_breaks_off_says_so(open_world: OpenWorld) -> None:
    world = open_world(provider=replace(KIND, webcom=WebcomOptions(page_items=2)), alpha=WEBCOM)
    world.enqueue([message(number, send_at=datetime.now(UTC) + HOUR) for number in range(1, 6)])
    watch(world.runtime, "alpha")  # their clock is trusted once it was read
    world.dispatch()
    world.provider.script({"when": {"command": "list_scheduled"}, "skip": 1, "do": "drop_before"})

    first, second = pages_of(world)

    assert not isinstance(first, Failure)
    assert len(first) == 2
    assert isinstance(second, Failure)


def test_their_stop_list_goes_on_ours(open_world: OpenWorld) -> None:
    theirs = frozenset({"380930000001", "380930000002"})
    world = open_world(provider=replace(KIND, webcom=WebcomOptions(stop_list=theirs)), alpha=WEBCOM)

    assert import_stop_list(world.runtime, world.line(), "theirs") == Imported(listed=2, added=2)
    assert import_stop_list(world.runtime, world.line(), "theirs") == Imported(listed=2, added=0)

    world.enqueue([message(1), message(3)])
    assert world.statuses() == {Status.SUPPRESSED: 1, Status.QUEUED: 1}
    assert {row.reason for row in world.rows("SELECT reason FROM suppressions")} == {"theirs"}


def test_a_stop_list_without_an_answer_adds_nothing(open_world: OpenWorld) -> None:
    world = open_world(alpha=WEBCOM)
    world.provider.script({"when": {"command": "list_stop"}, "do": "html"})

    assert isinstance(import_stop_list(world.runtime, world.line(), "theirs"), Failure)
    assert world.rows("SELECT 1 FROM suppressions") == []


def test_a_balance_says_when_it_was_told(world: World) -> None:
    told = ask_balance(world.runtime, world.line())

    assert isinstance(told, BalanceReading)
    assert told.at == world.route().balance_at
