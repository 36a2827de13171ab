"""Which senders each provider takes, and that a refusal names the character."""

import pytest

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.domain.content import Viber, ViberSms
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.routing import Route, accept, build_route
from tests.factories import message


def route(provider: str) -> dict[str, Route]:
    account = RouteConfig(
        "alpha", provider, "https://provider.example", key="k", login="l", password="p", token="t"
    )
    return {"alpha": build_route(account)}


TAKEN = [
    ("alphasms-xml", "Shop"),
    ("alphasms-xml", "Shop-24.ua_1"[:11]),
    ("alphasms-xml", "0931110001"),
    ("alphasms-http", "+0931110001"),
    ("webcom-xml", "Shop24"),
    ("webcom-xml", "380931110001"),
    ("smartswitch", "My Shop & 1"),
]


@pytest.mark.parametrize(("provider", "sender"), TAKEN)
def test_a_sender_that_they_document_goes(provider: str, sender: str) -> None:
    accept(message(sender=sender), route(provider))


REFUSED = [
    ("alphasms-xml", "Магазин", "U+041C CYRILLIC CAPITAL LETTER EM"),
    ("alphasms-http", "Магазин", "U+041C CYRILLIC CAPITAL LETTER EM"),
    ("webcom-xml", "Магазин", "U+041C CYRILLIC CAPITAL LETTER EM"),
    ("smartswitch", "Магазин", "U+041C CYRILLIC CAPITAL LETTER EM"),
    ("alphasms-xml", "Shоp", "U+043E CYRILLIC SMALL LETTER O"),  # looks like Shop
    ("webcom-xml", "Shоp", "U+043E CYRILLIC SMALL LETTER O"),
    ("alphasms-xml", "My Shop", "U+0020 SPACE"),
    ("alphasms-http", "Shop&Co", "U+0026 AMPERSAND"),
    ("alphasms-xml", "Caf\u00e9", "U+00E9 LATIN SMALL LETTER E WITH ACUTE"),
    ("alphasms-xml", "Sh", "at least 3 characters"),
    ("alphasms-xml", "ShopNews1234", "at most 11 characters"),
    ("alphasms-xml", "380931110001", "at most 11 characters"),
    ("webcom-xml", "ShopNews1234", "at most 11 characters"),
    ("alphasms-xml", "1.2-3", "must hold a letter"),
    ("webcom-xml", "!!!", "U+0021 EXCLAMATION MARK"),
    ("webcom-xml", "My Shop", "U+0020 SPACE"),
    ("webcom-xml", "Sh@p! #1", "U+0040 COMMERCIAL AT"),
]


@pytest.mark.parametrize(("provider", "sender", "said"), REFUSED)
def test_another_sender_is_refused_before_anything_leaves(provider: str, sender: str, said: str) -> None:
    with pytest.raises(MessageError, match=r"^sender: ") as problem:
        accept(message(sender=sender), route(provider))
    assert said in str(problem.value)


def test_senders_of_viber_may_be_of_any_alphabet() -> None:
    accept(message(sender="Магазин", text="", content=Viber("Hello")), route("alphasms-xml"))


def test_the_sms_behind_viber_has_a_sender_too() -> None:
    content = ViberSms("Hello", sms_text="Hello", sms_sender="Магазин")
    for provider in ("alphasms-http", "webcom-xml"):
        with pytest.raises(MessageError, match=r"^sms_sender: holds U\+041C"):
            accept(message(text="", content=content), route(provider))
