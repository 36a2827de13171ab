"""What the provider does not let pass: whole documents (201, 202), and single messages."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.sandbox.customer import KEY, Customer, asked, codes, error, msg, package

GOOD = msg(1)
NOW = datetime.now(UTC)


def _in(**ahead: float) -> str:
    return (NOW + timedelta(**ahead)).isoformat(timespec="seconds")


BAD_DOCUMENTS: dict[str, bytes | str] = {
    "nothing": b"",
    "not XML": b"id=1&text=hello",
    "cut short": package("message", GOOD)[:-5],
    "a bare ampersand": package("message", GOOD.replace("Hello", "you & me")),
    "a control character": package("message", GOOD.replace("Hello", "a\x01b")),
    "not UTF-8": package("message", GOOD.replace("Hello", "Привіт")).decode().encode("cp1251"),
    "another encoding": b"<?xml version='1.0' encoding='windows-1251'?>" + package("message", GOOD),
    "UTF-16": package("message", GOOD).decode().encode("utf-16"),
    "a document type": b"<!DOCTYPE package>" + package("message", GOOD),
    "an entity": b'<!DOCTYPE package [<!ENTITY a "b">]>' + package("message", msg(1).replace("Hello", "&a;")),
    "a growing entity": (
        "<!DOCTYPE package [<!ENTITY a '" + "b" * 1000 + "'>"
        + "".join(f"<!ENTITY a{n} '{f'&a{n - 1 if n > 1 else str()};' * 100}'>" for n in range(1, 6))
        + "]>" + package("message", GOOD.replace("Hello", "&a5;")).decode()
    ),
    "another root": f'<parcel key="{KEY}"><message>{GOOD}</message></parcel>',
    "a stranger at the root": f'<package key="{KEY}" version="2"><message>{GOOD}</message></package>',
    "key and login": package("message", GOOD).replace(b"key=", b'login="shop" password="s3same" key='),
    "no command": f'<package key="{KEY}"/>',
    "two commands": f'<package key="{KEY}"><message>{GOOD}</message><status>{asked(id=1)}</status></package>',
    "an unknown command": package("massage", GOOD),
    "words in a question for the balance": package("balance", "how much?"),
    "prices of nothing": package("prices", ""),
    "prices of a blank": package("prices", "<phone> </phone>"),
    "prices of a name": package("prices", "<name>Anna</name>"),
    "nothing to delete": package("delete", ""),
    "an attribute on the command": f'<package key="{KEY}"><message mode="x">{GOOD}</message></package>',
    "no messages": package("message", ""),
    "words between messages": package("message", GOOD + "and" + msg(2)),
    "words after the command": f'<package key="{KEY}"><message>{GOOD}</message>bye</package>',
    "another child": package("message", GOOD + "<sms/>"),
    "a child of a message": package("message", "<msg id='1'><text>Hello</text></msg>"),
    "an unknown attribute": package("message", msg(1, priority="high")),
    "an attribute in a namespace": package("message", msg(1, **{"xml:lang": "uk"})),
    "a date that is none": package("message", msg(1, date_beg="tomorrow")),
    "a day without a time": package("message", msg(1, date_beg="2031-03-04")),
    "the 31 November": package("message", msg(1, date_end="2031-11-31T10:00")),
    "a bad job id": package("job", "a b"),
    "an empty job id": package("job", ""),
    "a long job id": package("job", "a" * 65),
    "a child in a job": package("job", "<id>abc</id>"),
    "nothing asked": package("status", ""),
    "both ids asked": package("status", asked(id=1, sms_id=2)),
    "neither id asked": package("status", "<msg/>"),
    "a text asked": package("status", '<msg id="1">what?</msg>'),
    "a recipient asked": package("status", asked(recipient="+380931110001")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_a_bad_document_is_refused_as_a_whole(customer: Customer, name: str) -> None:
    assert error(customer.post(BAD_DOCUMENTS[name])) == 201
    assert customer.taken() == 0


@pytest.mark.parametrize(
    "root",
    [
        "<package>",
        '<package key="">',
        '<package key="guess">',
        '<package login="shop">',
        '<package login="shop" password="guess">',
    ],
)
def test_strangers_get_202(customer: Customer, root: str) -> None:
    assert error(customer.post(f"{root}<message>{GOOD}</message></package>")) == 202
    assert customer.taken() == 0


REFUSED = {
    "id of letters": (msg("abc"), 201),
    "id nought": (msg(0), 201),
    "id below nought": (msg(-5), 201),
    "id with leading noughts": (msg("007"), 201),
    "id with a fraction": (msg("1.0"), 201),
    "id beyond 63 bits": (msg(2**63), 201),
    "id that is empty": (msg(""), 201),
    "id with quotes": (msg('"<&>'), 201),
    "no sender": (msg(1, sender=""), 202),
    "sender too short": (msg(1, sender="ab"), 202),
    "sender too long": (msg(1, sender="abcdefghijkl"), 202),
    "sender with a space": (msg(1, sender="Shop News"), 202),
    "sender in cyrillic": (msg(1, sender="Магазин"), 202),
    "sender of too many digits": (msg(1, sender="380931110001"), 202),
    "sender ending in a line feed": (GOOD.replace("ShopNews", "ShopNews&#10;"), 202),
    "no recipient": (msg(1, recipient=""), 203),
    "recipient too short": (msg(1, recipient="+38093"), 203),
    "recipient too long": (msg(1, recipient="+" + "3" * 16), 203),
    "recipient with spaces": (msg(1, recipient="+38 093 111 00 01"), 203),
    "recipient of letters": (msg(1, recipient="+38093CALLME1"), 203),
    "recipient in other digits": (msg(1, recipient="+٣٨٠٩٣١١١٠٠٠١"), 203),
    "no text": (msg(1, text=""), 204),
    "blank text": (msg(1, text=" \n"), 204),
    "1531 latin characters": (msg(1, text="x" * 1531), 204),
    "671 cyrillic characters": (msg(1, text="ж" * 671), 204),
    "unknown type": (msg(1, type="4"), 204),
    "type of letters": (msg(1, type="flash"), 204),
    "no type": ('<msg id="1" recipient="+380931110001" sender="ShopNews">Hello</msg>', 204),
    "WAP-push without a link": (msg(1, type="2"), 204),
    "link too long": (msg(1, type="2", url="https://shop.example/" + "x" * 80), 204),
    "link in a plain message": (msg(1, url="https://shop.example/"), 204),
    "voice abroad": (msg(1, recipient="+48221234567", type="3"), 204),
    "voice to a mobile": (msg(1, recipient="+380931110001", type="3"), 204),
    "validity under a minute": (msg(1, date_end=_in(seconds=30)), 204),
    "validity over five days": (msg(1, date_end=_in(days=5, hours=1)), 204),
    "validity in the past": (msg(1, date_end=_in(hours=-1)), 204),
    "over before it begins": (msg(1, date_beg=_in(hours=2), date_end=_in(hours=1)), 204),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_message_is_refused_alone(customer: Customer, name: str) -> None:
    bad, code = REFUSED[name]

    assert codes(customer.send(bad, msg(2))) == [code, 1]
    assert customer.counts()["refused"] == 1


FINE = {
    "the greatest id": msg(2**63 - 1),
    "no id": '<msg recipient="+380931110001" sender="ShopNews" type="0">Hello</msg>',
    "no plus": msg(1, recipient="380931110001"),
    "15 digits": msg(1, recipient="+" + "3" * 15),
    "sender with marks": msg(1, sender="Shop.1-a_b"),
    "flash": msg(1, type="1"),
    "WAP-push": msg(1, type="2", url="https://shop.example/?a=1&b=2", text=""),
    "voice": msg(1, recipient="+380441234567", type="3"),
    "markup in the text": msg(1, text="<b>you & me</b> \"'"),
    "1530 latin characters": msg(1, text="x" * 1530),
    "670 cyrillic characters": msg(1, text="ж" * 670),
    "validity of a day": msg(1, date_end=_in(days=1)),
    "five days after a late start": msg(1, date_beg=_in(days=3), date_end=_in(days=8)),
    "a start that has passed": msg(1, date_beg=_in(hours=-1)),
    "a date without seconds and zone": msg(1, date_beg="2031-03-04T09:30"),
    "a date with a colonless offset": msg(1, date_beg="2031-03-04T09:30:00+0200"),
    "a comment": f"<!-- to a good customer -->{GOOD}",
}


@pytest.mark.parametrize("name", FINE)
def test_what_the_sheet_allows_is_taken(customer: Customer, name: str) -> None:
    assert codes(customer.send(FINE[name])) == [1]


def test_other_paths_and_methods_are_not_there(customer: Customer) -> None:
    assert customer.http.get("/api/xml.php").status_code == 405
    assert customer.http.post("/api/json.php").status_code == 404
