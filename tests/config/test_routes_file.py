"""The routes file: what cannot be used is refused with where and why, and without a secret."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.config.routes_file import RouteConfig, duration, names_only, read_routes
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.routing import build_routes

SECRET, PATH = "s3cret", "a-path-that-nobody-guesses"
GOOD = f"""
[routes.alpha]
provider = "alphasms-xml"
url = "https://alphasms.net"
key = "{SECRET}"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def ready(path: Path, content: str, environ: Mapping[str, str] | None = None) -> dict[str, RouteConfig]:
    """The routes of a file, every one made ready, as every process does when it starts."""
    path.write_text(content, "utf-8")
    known = environ or {}
    routes = read_routes(path, secret=lambda _, name: known.get(name, ""))
    build_routes(routes)
    return routes


def with_key(line: str) -> str:
    """The good file with one line more, or another value."""
    key = line.partition("=")[0].strip()
    kept = [each for each in GOOD.splitlines() if not each.startswith(f"{key} =")]
    return "\n".join([*kept, line])


# -- what can be used --------------------------------------------------------------------------------


def test_a_short_file_is_enough(path: Path) -> None:
    [route] = ready(path, GOOD).values()

    assert route == RouteConfig("alpha", "alphasms-xml", "https://alphasms.net", key=SECRET)


def test_every_key_of_the_design_is_read(path: Path) -> None:
    found = ready(
        path,
        f"""
        [routes.alpha]
        provider = "alphasms-xml"
        url = "https://alphasms.net"
        key = "{SECRET}"
        mode = "async"
        package_items = 1000
        parallel = 4
        in_doubt = "ask"
        poll_first = "2s"
        poll_max = "15m"
        horizon = "6d"
        zone = "UTC"
        """,
    )

    route = found["alpha"]
    assert (route.mode, route.package_items, route.parallel, route.in_doubt) == ("async", 1000, 4, "ask")
    assert (route.poll_first, route.poll_max) == (timedelta(seconds=2), timedelta(minutes=15))
    assert (route.horizon, route.zone) == (timedelta(days=6), "UTC")
    assert build_routes(found)["alpha"].doubt is DoubtPolicy.ASK


def test_routes_keep_the_order_of_the_file(path: Path) -> None:
    content = "\n".join(GOOD.replace("alpha]", f"{name}]").replace(SECRET, name) for name in "cab")

    assert list(ready(path, content)) == ["c", "a", "b"]


def test_two_accounts_or_two_modes_of_one_provider_are_two_routes(path: Path) -> None:
    other_account = GOOD.replace("alpha]", "beta]").replace(SECRET, "another")
    other_mode = GOOD.replace("alpha]", "gamma]") + 'mode = "async"\n'

    assert list(ready(path, GOOD + other_account + other_mode)) == ["alpha", "beta", "gamma"]


def test_given_one_account_named_twice_when_its_keys_differ_then_it_takes_two_modes_or_two_dialects(
    path: Path,
) -> None:
    named = GOOD + 'account = "main"\n'
    other_key = named.replace("alpha]", "beta]").replace(SECRET, "another")

    assert list(ready(path, named + other_key + 'mode = "async"\n')) == ["alpha", "beta"]
    assert list(ready(path, named + other_key.replace("alphasms-xml", "alphasms-http"))) == ["alpha", "beta"]
    with pytest.raises(SettingsError, match="routes alpha and beta are alike"):
        ready(path, named + other_key)
    with pytest.raises(SettingsError, match="routes alpha and beta are alike"):
        ready(path, named + GOOD.replace("alpha]", "beta]"))


HOME = "https://one.example/xml"
ACCOUNT: dict[str, Any] = {"name": "alpha", "provider": "webcom-xml", "url": HOME, "login": "shop"}


def test_an_account_is_told_from_another_without_its_credentials() -> None:
    account = RouteConfig(**ACCOUNT, password="first").account_id

    assert account.startswith("webcom-xml@one.example:")
    assert "shop" not in account
    assert "first" not in account


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"password": "second"}, True),
        ({"url": HOME + "/"}, True),
        ({"name": "beta"}, True),
        ({"parallel": 7}, True),
        ({"url": "https://one.example:8443/xml"}, False),
        ({"reference_offset": 1000}, False),
        ({"key": "a"}, False),
        ({"token": "a"}, False),
        ({"url": "https://two.example/xml"}, False),
        ({"login": "another"}, False),
        ({"provider": "smartswitch"}, False),
        ({"login": "", "key": "a"}, False),
    ],
)
def test_a_new_password_makes_no_other_account(change: dict[str, Any], *, same: bool) -> None:
    before, after = RouteConfig(**ACCOUNT), RouteConfig(**{**ACCOUNT, **change})

    assert (before.account_id == after.account_id) is same


@pytest.mark.parametrize(
    "zero",
    [
        "package_items",
        "package_bytes",
        "in_flight",
        "status_items",
        "reference_offset",
        "balance_warn_below",
    ],
)
def test_what_may_be_zero_may_be_zero(path: Path, zero: str) -> None:
    assert getattr(ready(path, with_key(f"{zero} = 0"))["alpha"], zero) == 0


def test_nothing_need_leave_ahead_of_its_time(path: Path) -> None:
    assert ready(path, with_key('schedule_ahead = "0s"'))["alpha"].schedule_ahead == timedelta(0)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("in_flight = 16", "in_flight", 16),
        ("status_items = 50", "status_items", 50),
        ('schedule_ahead = "12h"', "schedule_ahead", timedelta(hours=12)),
        ('keepalive = "0.5s"', "keepalive", timedelta(seconds=0.5)),
        ('keepalive = "0s"', "keepalive", timedelta(0)),
        ('# keepalive = "0s"', "keepalive", None),
        ('clock_tolerance = "0s"', "clock_tolerance", timedelta(0)),
        ('# clock_tolerance = "0s"', "clock_tolerance", None),
        ("balance_warn_below = 100", "balance_warn_below", 100),
        ('balance_interval = "1h"', "balance_interval", timedelta(hours=1)),
        (f'webhook_secret = "{PATH}"', "webhook_secret", PATH),
        ('webhook_allow_from = "10.0.0.0/8, 192.0.2.7"', "webhook_allow_from", "10.0.0.0/8, 192.0.2.7"),
        ("webhook_per_second = 10", "webhook_per_second", 10),
    ],
)
def test_every_other_key_is_read(path: Path, line: str, name: str, value: object) -> None:
    assert getattr(ready(path, with_key(line))["alpha"], name) == value


@pytest.mark.parametrize(("raw", "kept"), [('"form"', "form"), ("true", "1"), ("false", "0"), ("7", "7")])
def test_a_key_that_only_a_dialect_knows_is_kept_as_a_text(path: Path, raw: str, kept: str) -> None:
    path.write_text(with_key(f"of_its_own = {raw}"), "utf-8")

    assert read_routes(path)["alpha"].options == {"of_its_own": kept}


def test_the_path_of_receipts_is_a_secret(path: Path) -> None:
    route = ready(path, with_key('webhook_secret = "env:RECEIPTS"'), {"RECEIPTS": PATH})["alpha"]

    assert route.webhook_secret == PATH
    assert PATH not in repr(route)


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("2s", timedelta(seconds=2)),
        ("1.5s", timedelta(seconds=1.5)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("6d", timedelta(days=6)),
    ],
)
def test_a_length_of_time_is_written_with_its_unit(raw: str, length: timedelta) -> None:
    assert duration("x", raw) == length


# -- the environment in the file ---------------------------------------------------------------------


def test_secrets_may_stand_in_the_environment(path: Path) -> None:
    content = with_key('key = "env:ALPHA_KEY"')

    assert ready(path, content, {"ALPHA_KEY": SECRET})["alpha"].key == SECRET


def test_login_and_password_may_stand_in_the_environment(path: Path) -> None:
    content = GOOD.replace(f'key = "{SECRET}"', 'login = "env:L"\npassword = "env:P"')

    route = ready(path, content, {"L": "anna", "P": SECRET})["alpha"]

    assert (route.login, route.password, route.key) == ("anna", SECRET, "")


def test_the_environment_is_read_from_the_process_by_default(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(with_key('key = "env:WORKER_TEST_KEY"'), "utf-8")
    monkeypatch.setenv("WORKER_TEST_KEY", SECRET)

    assert read_routes(path)["alpha"].key == SECRET


@pytest.mark.parametrize(
    ("line", "name", "value", "expected"),
    [
        ('url = "env:WORKER_TEST_VALUE"', "url", "https://elsewhere", "https://elsewhere"),
        ('parallel = "env:WORKER_TEST_VALUE"', "parallel", "7", 7),
        ('poll_first = "env:WORKER_TEST_VALUE"', "poll_first", "7s", timedelta(seconds=7)),
        ('mode = "env:WORKER_TEST_VALUE"', "mode", "async", "async"),
        ('schedule_ahead = "env:WORKER_TEST_VALUE"', "schedule_ahead", "0s", timedelta(0)),
        ('own = "env:WORKER_TEST_VALUE"', "options", "form", {"own": "form"}),
    ],
    ids=["url", "number", "time", "word", "time of nothing", "a key of the dialect"],
)
@pytest.mark.parametrize("with_secrets", [True, False], ids=["a worker", "a producer"])
def test_any_value_may_stand_in_the_environment(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    name: str,
    value: str,
    expected: object,
    with_secrets: bool,
) -> None:
    path.write_text(with_key(line), "utf-8")
    monkeypatch.setenv("WORKER_TEST_VALUE", value)

    routes = read_routes(path) if with_secrets else read_routes(path, secret=names_only)

    assert getattr(routes["alpha"], name) == expected


def test_a_program_that_only_enqueues_needs_no_secret(path: Path) -> None:
    path.write_text(with_key('key = "env:NOBODY_HAS_SET_THIS"'), "utf-8")

    routes = read_routes(path, secret=names_only)

    assert build_routes(routes)["alpha"].config.key == "NOBODY_HAS_SET_THIS"


# -- what cannot be used -----------------------------------------------------------------------------

ALIKE = GOOD + GOOD.replace("alpha]", "beta]").replace("alphasms.net", "alphasms.net/")
DEFAULT = f"{GOOD}default = true\n"
TWO_DEFAULTS = DEFAULT + DEFAULT.replace("alpha]", "beta]").replace("alphasms.net", "beta.example")
LENGTH = 'must be a length of time such as "2s", "15m" or "6d"'

REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    # what is wrong: (the file, what the sentence holds)
    "nothing at all": ("", ("names no route", "[routes.NAME]")),
    "bad TOML": ("[routes.alpha\n", ("is not valid TOML", "line 1")),
    "bad value": (GOOD + "parallel = many\n", ("is not valid TOML",)),
    "routes is no table": ("routes = 5\n", ("names no route",)),
    "routes is a list": ("[[routes]]\nname = 'alpha'\n", ("names no route",)),
    "no route": ("[routes]\n", ("names no route",)),
    "a route that is none": ("[routes]\nalpha = 5\n", ("routes.alpha must be a table",)),
    "unknown key at the top": (f"{GOOD}\n[route.beta]\n", ("unknown key 'route'", "[routes.NAME]")),
    "unknown key in a route": (
        with_key("paralel = 4"),
        ("routes.alpha", "unknown key 'paralel'", "parallel"),
    ),
    "the name as a key": (with_key('name = "beta"'), ("routes.alpha", "unknown key 'name'")),
    "a name with a blank": (GOOD.replace("alpha]", '"my alpha"]'), ("routes.my alpha", "a name has")),
    "a name with a colon": (GOOD.replace("alpha]", '"a:b"]'), ("routes.a:b", "a name has")),
    "an empty name": (GOOD.replace("alpha]", '""]'), ("routes.:", "a name has")),
    "a name too long": (GOOD.replace("alpha]", f"{'a' * 65}]"), ("a name has up to 64",)),
    "a name in Cyrillic": (GOOD.replace("alpha]", '"альфа"]'), ("routes.альфа", "a name has")),
    "an account with a blank": (GOOD + 'account = "my shop"\n', ("routes.alpha.account has", "'my shop'")),
    "no provider": (GOOD.replace('provider = "alphasms-xml"', ""), ("routes.alpha", "provider is missing")),
    "no url": (GOOD.replace('url = "https://alphasms.net"', ""), ("routes.alpha", "url is missing")),
    "no secret": (GOOD.replace(f'key = "{SECRET}"', ""), ("routes.alpha", "needs a key")),
    "an empty secret": (with_key('key = ""'), ("routes.alpha", "needs a key")),
    "half a secret": (
        GOOD.replace(f'key = "{SECRET}"', f'password = "{SECRET}"'),
        ("routes.alpha", "login and a password"),
    ),
    "a secret not in the environment": (with_key('key = "env:MISSING"'), ("routes.alpha.key", "MISSING")),
    "a secret empty in the environment": (with_key('key = "env:EMPTY"'), ("routes.alpha.key", "EMPTY")),
    "unknown provider": (
        with_key('provider = "pigeon"'),
        ("routes.alpha.provider", "alphasms-xml", "got 'pigeon'"),
    ),
    "provider of another type": (with_key("provider = 5"), ("routes.alpha.provider must be str", "got 5")),
    "url without a scheme": (with_key('url = "alphasms.net"'), ("routes.alpha.url", "got 'alphasms.net'")),
    "url of another scheme": (with_key('url = "ftp://x"'), ("routes.alpha.url", "got 'ftp://x'")),
    "url without a host": (with_key('url = "https://"'), ("routes.alpha.url", "got 'https://'")),
    "url with a blank": (with_key('url = "https://a b"'), ("routes.alpha.url",)),
    "url with a credential": (
        with_key(f'url = "htps://anna:{SECRET}@alphasms.net"'),
        ("routes.alpha.url", "alphasms.net"),
    ),
    "url of another type": (with_key("url = 5"), ("routes.alpha.url must be str", "got 5")),
    "secret of another type": (with_key("key = 271828"), ("routes.alpha.key must be str", "got …")),
    "number as text": (with_key('parallel = "many"'), ("routes.alpha.parallel must be int", "got 'many'")),
    "number with a fraction": (with_key("parallel = 2.5"), ("routes.alpha.parallel", "got 2.5")),
    "number as truth": (with_key("parallel = true"), ("routes.alpha.parallel", "got True")),
    "number as a list": (with_key("parallel = [4]"), ("routes.alpha.parallel", "got [4]")),
    "zero": (with_key("parallel = 0"), ("routes.alpha.parallel must be positive", "got 0")),
    "negative": (with_key("attempts = -1"), ("routes.alpha.attempts must be positive", "got -1")),
    "negative where zero is allowed": (with_key("package_items = -1"), ("routes.alpha.package_items", "-1")),
    "time without a unit": (with_key('poll_first = "30"'), ("routes.alpha.poll_first", LENGTH, "got '30'")),
    "time of an unknown unit": (with_key('poll_first = "3w"'), ("routes.alpha.poll_first", "got '3w'")),
    "time as a number": (with_key("timeout = 30"), ("routes.alpha.timeout", LENGTH, "got 30")),
    "time below zero": (with_key('timeout = "-1s"'), ("routes.alpha.timeout", "got '-1s'")),
    "no time": (with_key('timeout = ""'), ("routes.alpha.timeout", "got ''")),
    "time of nothing": (with_key('poll_first = "0s"'), ("routes.alpha.poll_first must be longer",)),
    "time beyond all": (with_key('horizon = "999999999999d"'), ("routes.alpha.horizon", "999999999999d")),
    "time beyond numbers": (with_key(f'horizon = "{"9" * 400}d"'), ("routes.alpha.horizon", LENGTH)),
    "connections kept below zero": (with_key('keepalive = "-1s"'), ("routes.alpha.keepalive",)),
    "connections kept for a number": (with_key("keepalive = 5"), ("routes.alpha.keepalive",)),
    "the time ahead below zero": (with_key('schedule_ahead = "-1s"'), ("routes.alpha.schedule_ahead",)),
    "more ahead than they hold": (
        with_key('schedule_ahead = "25h"'),
        ("routes.alpha.schedule_ahead", "alphasms-xml", "at most 1 day"),
    ),
    "a negative balance": (
        with_key("balance_warn_below = -1"),
        ("routes.alpha.balance_warn_below", "got -1"),
    ),
    "no requests at once": (with_key("in_flight = -1"), ("routes.alpha.in_flight", "got -1")),
    "no receipts at all": (with_key("webhook_per_second = 0"), ("routes.alpha.webhook_per_second", "0")),
    "a balance asked for all the time": (
        with_key('balance_interval = "0s"'),
        ("routes.alpha.balance_interval",),
    ),
    "a key as a fraction": (with_key("own = 2.5"), ("routes.alpha.own must be a text, a number",)),
    "a key as a list": (with_key("own = [4]"), ("routes.alpha.own must be a text, a number",)),
    "a key as a table": (with_key("own = {a = 4}"), ("routes.alpha.own must be a text, a number",)),
    "a key of another dialect": (
        with_key('params_in = "form"'),
        (
            "routes.alpha: unknown key 'params_in'",
            "known are account, attempts, balance_interval",
            "parallel",
        ),
    ),
    "the field that holds such keys": (with_key('options = "x"'), ("unknown key 'options'",)),
    "unknown mode": (with_key('mode = "fast"'), ("routes.alpha.mode", "sync, async", "got 'fast'")),
    "unknown policy": (with_key('in_doubt = "guess"'), ("routes.alpha.in_doubt", "hold", "got 'guess'")),
    "a way to know that they do not offer": (
        with_key('in_doubt = "repeat"'),
        ("routes.alpha.in_doubt must be one of ask, hold, resend, fail with alphasms-xml", "got 'repeat'"),
    ),
    "unknown zone": (with_key('zone = "Mars/Base"'), ("routes.alpha", "time zone", "got 'Mars/Base'")),
    "lease too short": (
        with_key('lease = "10s"'),
        ("routes.alpha.lease must outlast", "connect_timeout", "got 0:00:10"),
    ),
    "lease too short by its margin": (
        with_key('lease = "60s"\nlease_margin = "16s"'),
        ("routes.alpha.lease must outlast", "lease_margin", "got 0:01:00"),
    ),
    "no margin": (
        with_key('lease_margin = "0s"'),
        ("routes.alpha.lease_margin must be longer than nothing",),
    ),
    "time-out too long for the lease": (with_key('timeout = "5m"'), ("routes.alpha.lease must outlast",)),
    "two defaults": (TWO_DEFAULTS, ("routes alpha and beta are each the default", "only one can be")),
    "a word for a default": (with_key('default = "yes"'), ("routes.alpha.default must be bool", "got 'yes'")),
    "a number for a default": (with_key("default = 1"), ("routes.alpha.default must be bool", "got 1")),
    "a default for a number": (
        with_key("parallel = true"),
        ("routes.alpha.parallel must be int", "got True"),
    ),
    "one account twice": (ALIKE, ("alpha and beta are alike", "same account")),
    "one name twice": (GOOD + GOOD, ("is not valid TOML",)),
    "one key twice": (GOOD + f'key = "{SECRET}"\n', ("is not valid TOML",)),
}


@pytest.mark.parametrize(("content", "holds"), REFUSED.values(), ids=REFUSED)
def test_a_routes_file_that_cannot_be_used_says_where_and_why(
    path: Path, content: str, holds: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        ready(path, content, {"EMPTY": ""})

    for part in holds:
        assert part in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "271828" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_says_where_it_is_looked_for(path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_routes(path)

    assert str(caught.value) == f"no routes file at {path}; WORKER_ROUTES names it"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_routes(tmp_path)


def test_a_file_that_is_not_text_cannot_be_read(path: Path) -> None:
    path.write_bytes(b"[routes.alpha]\nurl = '\xff\xfe'\n")

    with pytest.raises(SettingsError, match="cannot be read"):
        read_routes(path)


# -- discretion --------------------------------------------------------------------------------------


def test_the_repr_of_a_route_shows_no_address_and_no_secret(path: Path) -> None:
    secrets = 'login = "s3cret-login"\npassword = "s3cret-password"\ntoken = "s3cret-token"\n'
    url = 'url = "https://anna:s3cret@alphasms.net"'
    [route] = ready(path, with_key(url) + "\n" + secrets).values()

    shown = f"{route!r} {build_routes({'alpha': route})['alpha'].config!r}"

    assert SECRET not in shown
    assert "alphasms.net" not in shown
    assert "alpha" in shown
