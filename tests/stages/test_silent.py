"""Where pages are silent: by the reading of its provider a message arrives as it was written, and by another
reading it does what docs/reference/silent.md says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from bulk_dispatch.domain.content import Content, Flash, Ping, Sms, VCard, Viber
from bulk_dispatch.routing import accept
from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from tests.factories import message
from tests.stages.world import KIND, OpenWorld, World

LINED = Sms("One\ntwo")
PLAIN = Sms("Ready")
BUTTON = Viber("Ready", image="https://s.example/1.png", button="Open", url="https://s.example")
LINE_FEED = replace(KIND, webcom=WebcomOptions(line_break="line-feed"))
CARD = "ann@shop.example\nAnn"
BLANK = {"line_break": "blank"}


class Case(NamedTuple):
    """A route with these settings, a provider that reads so, and what arrives there; None: nothing."""

    route: str
    settings: Mapping[str, object]
    content: Content
    arrives: str | None
    provider: SandboxOptions = KIND


CASES = {
    "webcom, a line break as two characters": Case("webcom", {}, LINED, "One\ntwo"),
    "webcom, to who wants it as itself": Case("webcom", {}, LINED, "One\\ntwo", LINE_FEED),
    "webcom, a line break as itself": Case(
        "webcom", {"line_break": "line-feed"}, LINED, "One\ntwo", LINE_FEED
    ),
    "webcom, to who wants none in a document": Case("webcom", {"line_break": "line-feed"}, LINED, None),
    "webcom, no line break": Case("webcom", BLANK, LINED, "One two"),
    "webcom, no line break to the other": Case("webcom", BLANK, LINED, "One two", LINE_FEED),
    "webcom, credentials last": Case("webcom", {"security": "last"}, PLAIN, "Ready"),
    "webcom, a ping of another text": Case("webcom", {"ping_text": "Hello"}, Ping(), "Hello"),
    "webcom, a ping of no text": Case("webcom", {"ping_text": "none"}, Ping(), ""),
    "webcom, empty parts": Case("webcom", {"empty_parts": "written"}, Viber("Ready"), "Ready"),
    "webcom, empty parts of a card": Case(
        "webcom", {"empty_parts": "written"}, VCard("Ann", email="ann@shop.example"), CARD
    ),
    "AlphaSMS, digits": Case("alpha", {"number_format": "digits"}, PLAIN, "Ready"),
    "AlphaSMS, a button as an image": Case("alpha", {"viber_button": "image"}, BUTTON, "Ready"),
    "AlphaSMS over HTTP, digits": Case("plain", {"number_format": "digits"}, PLAIN, "Ready"),
    "AlphaSMS over HTTP, by GET": Case("plain", {"params_in": "query"}, Sms("1 + 2 & 3"), "1 + 2 & 3"),
    "AlphaSMS over HTTP, without version": Case("plain", {"version": "left-out"}, PLAIN, "Ready"),
    "AlphaSMS over HTTP, a flash in words": Case(
        "plain",
        {"flash": "true"},
        Flash("Ready"),
        "Ready",
        replace(KIND, alphasms=AlphasmsOptions(flash="true")),
    ),
    "AlphaSMS over HTTP, a flash in words to who wants 1": Case(
        "plain", {"flash": "true"}, Flash("Ready"), None
    ),
    "SMARTSwitch, a plus": Case(
        "smart",
        {"number_format": "plus"},
        PLAIN,
        "Ready",
        replace(KIND, smartswitch=SmartSwitchOptions(plus=True)),
    ),
    "SMARTSwitch, a plus to who wants none": Case("smart", {"number_format": "plus"}, PLAIN, None),
    "SMARTSwitch, a form": Case("smart", {"params_in": "form"}, Sms("1 + 2 & 3"), "1 + 2 & 3"),
}


def arrived(world: World) -> list[str]:
    """What makes each message the same to who gets it."""
    return [digest for _, _, digest, _ in world.provider.see("deliveries")]


@pytest.mark.parametrize("name", CASES)
def test_given_a_reading_when_a_message_leaves_then_this_arrives(open_world: OpenWorld, name: str) -> None:
    route, settings, content, arrives, provider = CASES[name]
    world = open_world(provider=provider, **{route: dict(settings)})
    wanted: Any = message(1, route=route, text="", content=content)

    world.enqueue([accept(wanted, world.runtime.routes)])
    world.dispatch(route)

    expected = [] if arrives is None else [content_digest(wanted.recipient, "Shop", arrives)]
    assert arrived(world) == expected
