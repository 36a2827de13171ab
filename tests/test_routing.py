"""Lines: a route made ready, and what its provider does not allow it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.config.routes_file import RouteConfig, read_routes, route_keys
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.domain.content import ViberSms
from bulk_dispatch.domain.doubt_policy import SETTLING, DoubtPolicy
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.providers.interface import Clocks
from bulk_dispatch.routing import Route, UnknownRoute, accept, build_route, build_routes
from bulk_dispatch.sandbox.routes import write_sandbox_routes
from tests.factories import message
from tests.providers.harness import sample_of
from tests.providers.rules import shown

OWN_WAY = {provider: dialect.doubt for provider, dialect in PROVIDERS.items()}


def route(provider: str, **changes: Any) -> RouteConfig:
    account = sample_of(provider).accounts[0]
    credentials = {name: getattr(account, name) for name in ("key", "login", "password", "token")}
    return RouteConfig("alpha", provider, "https://provider.example", **{**credentials, **changes})


def ready(provider: str, **changes: Any) -> Route:
    return build_route(route(provider, **changes))


def refusal(provider: str, **changes: Any) -> str:
    """The sentence that such a route is refused with."""
    with pytest.raises(SettingsError) as caught:
        ready(provider, **changes)
    said = str(caught.value)
    assert not shown(sample_of(provider).accounts[0].secrets, said)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_clock_that_cannot_be_asked_may_be_off_by_more(provider: str) -> None:
    default = timedelta(seconds=2 if issubclass(PROVIDERS[provider], Clocks) else 60)

    assert ready(provider).clock_tolerance == default
    assert ready(provider, clock_tolerance=timedelta(0)).clock_tolerance == timedelta(0)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("in_doubt", ["", "hold", "resend", "fail"])
def test_given_nobody_who_can_be_asked_then_idle_connections_are_kept_briefly_unless_the_route_says_how_long(
    provider: str, in_doubt: str
) -> None:
    asks = OWN_WAY[provider] in SETTLING and not in_doubt
    default = timedelta(seconds=20) if asks else timedelta(milliseconds=500)

    assert ready(provider, in_doubt=in_doubt).keepalive == default
    assert ready(provider, in_doubt=in_doubt, keepalive=timedelta(seconds=3)).keepalive.seconds == 3
    assert ready(provider, in_doubt=in_doubt, keepalive=timedelta(0)).keepalive == timedelta(0)


# -- keys that a dialect alone knows


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        ("smartswitch", {"params_in": "form", "source": "number", "receipt_id": "id"}),
        ("alphasms-http", {"params_in": "query"}),
        ("webcom-xml", {"path": "/xml/", "campaign_name": "1", "transliterate": "1"}),
    ],
)
def test_a_dialect_is_given_its_own_keys(provider: str, options: dict[str, str]) -> None:
    assert PROVIDERS[provider].options.keys() >= options.keys()
    assert ready(provider, options=options).dialect.limits.items > 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_defaults_a_dialect_names_are_what_it_does_without_them(provider: str) -> None:
    own = PROVIDERS[provider].options

    assert ready(provider, options=dict(own)).dialect.limits == ready(provider).dialect.limits


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_key_is_named_with_those_that_are_known(provider: str) -> None:
    said = refusal(provider, options={"paralel": "4"})

    assert said.startswith("routes.alpha: unknown key 'paralel'; known are ")
    known = said.partition("known are ")[2].split(", ")
    assert known == sorted({*route_keys(), *PROVIDERS[provider].options})
    assert "name" not in known
    assert "options" not in known


def test_a_key_of_another_dialect_is_unknown() -> None:
    assert "unknown key 'params_in'" in refusal("alphasms-xml", options={"params_in": "form"})


@pytest.mark.parametrize(
    ("provider", "options", "names"),
    [
        ("smartswitch", {"params_in": "header"}, ("params_in", "query", "form", "'header'")),
        ("smartswitch", {"source": "both"}, ("source", "name", "number")),
        ("smartswitch", {"receipt_id": "a b"}, ("receipt_id", "'a b'")),
        ("alphasms-http", {"params_in": "json"}, ("params_in", "form", "query", "'json'")),
        ("webcom-xml", {"path": "/api"}, ("path", "/xml", "'/api'")),
    ],
)
def test_a_value_a_dialect_does_not_know_names_the_key(
    provider: str, options: dict[str, str], names: tuple[str, ...]
) -> None:
    said = refusal(provider, options=options)

    assert said.startswith("routes.alpha: ")
    for name in names:
        assert name in said


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_credentials_a_route_is_refused(provider: str) -> None:
    bare = RouteConfig("alpha", provider, "https://provider.example")

    with pytest.raises(SettingsError, match=r"^routes\.alpha: .* needs "):
        build_route(bare)


def test_an_unknown_provider_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError) as caught:
        build_routes({"alpha": RouteConfig("alpha", "pigeon", "https://provider.example")})

    assert str(caught.value) == (f"routes.alpha.provider must be one of {', '.join(PROVIDERS)}, got 'pigeon'")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_how_much_leaves_at_once_is_the_routes_to_say(provider: str) -> None:
    limits = ready(provider, package_items=7, in_flight=3).dialect.limits

    assert limits.items == 7
    assert limits.in_flight == (3 if limits.call else 1)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ["Mars/Olympus", "../zone", "Kyiv"])
def test_a_time_zone_that_is_none_is_named(provider: str, name: str) -> None:
    assert refusal(provider, zone=name) == (
        f"routes.alpha.zone must be a time zone such as Europe/Kyiv, got {name!r}"
    )


# -- how doubt is settled


@pytest.mark.parametrize("provider", PROVIDERS)
def test_doubt_is_settled_as_the_provider_makes_possible(provider: str) -> None:
    assert ready(provider).doubt is OWN_WAY[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("chosen", ["hold", "resend", "fail"])
def test_a_policy_may_be_chosen_anywhere(provider: str, chosen: str) -> None:
    assert ready(provider, in_doubt=chosen).doubt is DoubtPolicy(chosen)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("way", [DoubtPolicy.ASK, DoubtPolicy.REPEAT])
def test_a_way_to_know_must_be_the_providers_own(provider: str, way: DoubtPolicy) -> None:
    if way is OWN_WAY[provider]:
        assert ready(provider, in_doubt=way.value).doubt is way
        return
    said = refusal(provider, in_doubt=way.value)
    allowed = ", ".join(dict.fromkeys((OWN_WAY[provider].value, "hold", "resend", "fail")))
    assert said == f"routes.alpha.in_doubt must be one of {allowed} with {provider}, got {way.value!r}"


@pytest.mark.parametrize("own", [None, DoubtPolicy.HOLD, DoubtPolicy.RESEND, DoubtPolicy.FAIL])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_message_has_a_say_only_where_nobody_can_know(provider: str, own: DoubtPolicy | None) -> None:
    way = OWN_WAY[provider]
    knows = way in (DoubtPolicy.ASK, DoubtPolicy.REPEAT)

    assert ready(provider).policy(own) is (way if knows or own is None else own)
    assert ready(provider, in_doubt="fail").policy(own) is (own or DoubtPolicy.FAIL)


# -- what they hold until its time


@pytest.mark.parametrize(
    ("provider", "longest"),
    [
        ("alphasms-xml", timedelta(days=1)),
        ("alphasms-http", timedelta(days=1)),
        ("webcom-xml", timedelta(days=7)),
    ],
)
def test_as_long_ahead_as_they_hold_it_and_no_longer(provider: str, longest: timedelta) -> None:
    assert ready(provider, schedule_ahead=longest).config.schedule_ahead == longest

    said = refusal(provider, schedule_ahead=longest + timedelta(seconds=1))

    assert said.startswith(f"routes.alpha.schedule_ahead with {provider} must be at most {longest.days}")


def test_who_holds_nothing_is_given_nothing_ahead() -> None:
    assert refusal("smartswitch", schedule_ahead=timedelta(seconds=1)) == (
        "routes.alpha.schedule_ahead with smartswitch must be 0s: it holds no messages until their time"
    )


# -- who may carry what


def lines(**providers: str) -> dict[str, Route]:
    return {name: build_route(replace(route(provider), name=name)) for name, provider in providers.items()}


def test_the_only_route_is_filled_in() -> None:
    assert accept(message(route=""), lines(beta="smartswitch")).route == "beta"


def with_default(known: dict[str, Route], name: str) -> dict[str, Route]:
    """The same lines, one of them the default."""
    default = known[name]
    return {**known, name: replace(default, config=replace(default.config, default=True))}


def test_of_several_routes_the_default_is_filled_in_where_none_is_named() -> None:
    known = with_default(lines(alpha="alphasms-xml", beta="smartswitch"), "beta")

    assert accept(message(route=""), known).route == "beta"
    assert accept(message(route="alpha"), known).route == "alpha"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("gamma", "route: must be one of alpha, beta, got 'gamma'"),
        (
            "",
            "route: must be one of alpha, beta (none is the default: set default = true for one), got ''",
        ),
    ],
)
def test_of_several_routes_without_a_default_one_must_be_named(wanted: str, said: str) -> None:
    with pytest.raises(UnknownRoute) as refused:
        accept(message(route=wanted), lines(alpha="alphasms-xml", beta="smartswitch"))

    assert str(refused.value) == said


def test_the_route_file_of_worker_up_takes_messages_that_name_no_route(tmp_path: Path) -> None:
    known = build_routes(read_routes(write_sandbox_routes(tmp_path, "http://127.0.0.1:9")))

    assert accept(message(route=""), known).route == "sandbox-sync"


def test_what_a_provider_cannot_carry_is_refused_with_what_and_why() -> None:
    cascade = message(route="alpha", text="", content=ViberSms("Hello", sms_text="Hello"))

    assert accept(cascade, lines(alpha="webcom-xml")) == cascade
    with pytest.raises(MessageError, match=r"^kind: is not carried by SMARTSwitch, got 'viber_sms'$"):
        accept(cascade, lines(alpha="smartswitch"))


@pytest.mark.parametrize(
    ("provider", "sent"),
    [
        ("alphasms-xml", "one\r\ntwo\rthree"),
        ("alphasms-http", "one\r\ntwo\rthree"),
        ("smartswitch", "one\r\ntwo\rthree"),
        ("webcom-xml", "one\ntwo\nthree"),  # they can be told of one kind of line end only
    ],
)
@pytest.mark.parametrize("kind", ["sms", "flash"])
def test_a_text_is_accepted_as_it_will_be_sent(provider: str, sent: str, kind: str) -> None:
    there = lines(alpha=provider)
    if kind not in there["alpha"].dialect.kinds:
        kind = "sms"
    given = message(text="one\r\ntwo\rthree", kind=kind)

    accepted = accept(given, there)

    assert accepted == message(text=sent, kind=kind)
    assert accept(accepted, there) == accepted


# -- from the file


def test_a_whole_table_of_a_routes_file_is_made_ready(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(
        """
        [routes.alpha]
        provider = "smartswitch"
        url = "https://provider.example/"
        login = "secret-login"
        password = "secret-password"
        webhook_secret = "a-secret-of-some-length"
        params_in = "form"
        source = "number"
        receipt_state = "state"
        """,
        "utf-8",
    )

    [made] = build_routes(read_routes(path)).values()

    assert made.config.options == {"params_in": "form", "source": "number", "receipt_state": "state"}
    assert made.dialect.limits.items == 20
