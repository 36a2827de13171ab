"""docs/reference/silent.md, row by row: each setting is one of its dialect, with these choices and this
default; each choice makes a request of its own; and `worker probe` shows it by the message that the row
names."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from bulk_dispatch.cli.probe_messages import probes
from bulk_dispatch.config.routes_file import RouteConfig, route_keys
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers.interface import Dialect, Push, Receipts, Reply, Request, Statuses
from bulk_dispatch.routing import build_route
from bulk_dispatch.timezones import zone
from tests.guards.page import rows
from tests.guards.repository import text
from tests.providers.harness import sample_of, sms

NOW = datetime(2031, 3, 4, 7, 0, tzinfo=UTC)

FEATURES = {"campaign_name", "transliterate", "call_items"}
"""Options that are no readings: a matter of taste, and documented; or how much goes at once."""

TEXTS = {"a text": "Hello", "a time zone": "Asia/Tbilisi", "a name": "delivery"}
"""Choices that are no words of ours, with one of them."""

ELSEWHERE = {"zone": "alphasms", "receipt_id": "", "receipt_state": ""}
"""Settings that change how something is read."""


class Row(NamedTuple):
    """A row of the table, its marks taken off."""

    provider: str
    setting: str
    choices: tuple[str, ...]
    default: str
    probe: str  # empty: none shows it


def read(cells: list[str]) -> Row:
    provider, setting, choices, default, reason, wrong, probe = cells
    assert reason
    assert wrong
    written = tuple(one.strip("` ") for one in choices.split(","))
    return Row(provider.strip("`"), setting.strip("`"), written, default.strip("`"), probe.strip("`–"))


TABLE = [read(cells) for cells in rows(text("docs/reference/silent.md"))]
every_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.provider} {row.setting}")


def speaking(row: Row, value: str) -> Dialect:
    """The dialect of a route with the sample's account, and that value."""
    account = sample_of(row.provider).accounts[0]
    route = RouteConfig(
        "alpha",
        row.provider,
        account.url,
        key=account.key,
        login=account.login,
        password=account.password,
        token=account.token,
        options=account.options,
    )
    of_every_route = row.setting in route_keys()
    changed = {row.setting: value} if of_every_route else {"options": {**route.options, row.setting: value}}
    return build_route(replace(route, **changed)).dialect


def items(provider: str) -> list[OutboundMessage]:
    """The sample, and what else a choice may show in."""
    timed = sms(1, "One\ntwo", send_at=NOW, valid_until=NOW)
    return [*sample_of(provider).items, timed]


def requests(row: Row, value: str) -> list[Request]:
    speaker = speaking(row, value)
    return [speaker.submit([item]) for item in items(row.provider)]


def tried(row: Row) -> list[str]:
    return [TEXTS.get(choice, choice) for choice in row.choices]


def test_no_choice_of_a_dialect_is_missing_and_none_is_made_up() -> None:
    told = {(row.provider, row.setting) for row in TABLE}
    own = {(name, key) for name, kind in PROVIDERS.items() for key in kind.options.keys() - FEATURES}
    zones = {(name, "zone") for name in ("alphasms-xml", "alphasms-http", "webcom-xml")}
    assert told == own | zones
    assert len(told) == len(TABLE)


@every_row
def test_the_default_is_that_of_the_dialect(row: Row) -> None:
    if row.setting == "zone":
        assert zone(row.default)
    else:
        assert PROVIDERS[row.provider].options[row.setting] == row.default
    assert row.default in row.choices or set(row.choices) & TEXTS.keys()
    assert requests(row, "") == requests(row, row.default)


@every_row
def test_a_choice_that_is_none_is_refused_by_name(row: Row) -> None:
    with pytest.raises(ValueError, match=row.setting):
        speaking(row, "neither\tof them")


@every_row
def test_every_choice_is_taken_and_makes_a_difference(row: Row) -> None:
    seen: list[object] = [requests(row, row.default)]
    for value in tried(row):
        if value == row.default:
            continue
        made: object = requests(row, value)
        if row.setting in ELSEWHERE and row.provider.startswith(ELSEWHERE[row.setting]):
            assert heard(row, value) != heard(row, row.default)
        else:
            assert made not in seen
            seen.append(made)


def heard(row: Row, value: str) -> object:
    """What a receipt, or an answer, is read as."""
    speaker = speaking(row, value)
    if row.setting == "zone":
        return _answered(speaker, row.provider)
    assert isinstance(speaker, Receipts)
    body = f"message_id=1&message_state=delivered&{value}=expired".encode()
    return speaker.read_receipts(Push(body, content_type="application/x-www-form-urlencoded"))


def _answered(speaker: Dialect, provider: str) -> object:
    assert isinstance(speaker, Statuses)
    [one] = sample_of(provider).asked()[:1]
    ended = f'<msg id="{one.reference}" date_completed="2031-03-04T09:31:12">102</msg>'
    answers = {
        "alphasms-xml": f"<package><status>{ended}</status></package>",
        "alphasms-http": "code:3 status_time:2031/03/04 09:31:12",
    }
    return speaker.read_status([one], Reply(200, answers[provider].encode()))


@every_row
def test_the_probe_that_a_row_names_shows_it_and_says_what_to_set(row: Row) -> None:
    found = {one.name: one for one in probes(speaking(row, ""), "3f2a1c", NOW)}
    shown = {name for name, one in found.items() if row.setting in {sign.setting for sign in one.signs}}
    assert shown == ({row.probe} if row.probe else set())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_probe_says_to_set_is_a_setting_of_the_table(provider: str) -> None:
    told = {row.setting for row in TABLE if row.provider == provider} | FEATURES
    for one in probes(dialect(provider, sample_of(provider).accounts[0]), "3f2a1c", NOW):
        assert {sign.setting for sign in one.signs if sign.setting} <= told
        assert one.signs
