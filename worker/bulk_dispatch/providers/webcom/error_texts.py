"""What webcom's gateway says in words, English or Russian, and what each amounts to.

Source: vendor documentation; what is marked "family" comes from other gateways on the same platform, and its
English wording is a guess. A text is known by a fragment of it, so the order of a table matters: some contain
others.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple, TypeAlias, TypeVar

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import CREDENTIALS, MALFORMED, MISDIRECTED, MONEY, THROTTLED, Failure
from bulk_dispatch.providers.formats import xml

IDENTICAL = replace(THROTTLED, wait=timedelta(seconds=61))
"""They take the same request once a minute."""


class TextMeaning(NamedTuple):
    """What a text about one message amounts to."""

    status: Status
    failure: Failure | None = None
    suppress: bool = False  # this recipient wants nothing from us
    strange: bool = False
    used: bool = False  # they had a message under this id before


Meant = TypeVar("Meant")

Table: TypeAlias = Sequence[tuple[Meant, tuple[str, ...]]]
"""Meanings and the fragments they are known by; the first is its name with us. "…" stands for anything."""

REJECTED = TextMeaning(Status.REJECTED)

REFUSALS: Table[Failure] = (
    (MALFORMED, ("incorrect xml document format", "неправильный формат xml")),
    # The Russian text breaks off after "или" on one page.
    (CREDENTIALS, ("incorrect login or password", "неправильный логин или")),
    # Lost on the way, as every other would be: the address is wrong, or a proxy before it.
    (MISDIRECTED, ("post data is missing", "post данные отсутствуют")),
    (CREDENTIALS, ("account is blocked", "account blocked", "аккаунт заблокирован")),  # family
)
"""`<error>`: the request as a whole."""

ADMISSIONS: Table[TextMeaning] = (
    # 17, family: taken, and waits for money at their end. Sent elsewhere it would arrive twice.
    (
        TextMeaning(Status.SENT, MONEY),
        ("insufficient funds … will be sent", "недостаточно средств … будет отправлен"),
    ),
    # Without that promise it is on no list. Nobody knows whether they keep it: a repeat will tell.
    (TextMeaning(Status.IN_DOUBT, MONEY, strange=True), ("insufficient funds", "недостаточно средств")),
    # 18, family: they have had it under this number, and may not say under which of theirs.
    (TextMeaning(Status.SENT, used=True), ("already sent", "already been sent", "уже было отправлено")),
    # 1 contains 2.
    (TextMeaning(Status.QUEUED, MONEY), ("we have run out of sms", "у нас закончились sms")),
    (TextMeaning(Status.QUEUED, MONEY), ("out of sms", "закончились sms")),
    (
        TextMeaning(Status.QUEUED, CREDENTIALS),
        ("account blocked", "account is blocked", "аккаунт заблокирован"),
    ),
    (REJECTED, ("specify phone number", "укажите номер телефона")),
    (TextMeaning(Status.REJECTED, suppress=True), ("on the stop list", "в стоп-листе")),
    # 6 contains 7.
    (REJECTED, ("this destination is closed for you", "данное направление закрыто для вас")),
    (REJECTED, ("this destination is closed", "данное направление закрыто")),
    (REJECTED, ("rejected by moderator", "отклонен модератором")),
    (REJECTED, ("no sender", "нет отправителя")),
    (REJECTED, ("sender must not exceed 15 … 11", "отправитель не должен превышать")),
    (REJECTED, ("phone number must be less than 15", "номер телефона должен быть меньше 15")),
    (REJECTED, ("no message text", "нет текста сообщения")),
    (REJECTED, ("no link", "нет ссылки")),
    (REJECTED, ("contact name and at least one parameter", "название контакта")),
    (REJECTED, ("there is no such sender", "такого отправителя нет")),
    (REJECTED, ("sender has not been moderated", "отправитель не прошел модерацию")),
    # 19, family: no two requests of ours are alike, so the other is a copy of this one, and they may have it.
    # A repeat, after that minute, will tell.
    (
        TextMeaning(Status.IN_DOUBT, IDENTICAL),
        ("more than one identical request", "более одного одинакового запроса"),
    ),
)
"""`<information>` that is not `send`: one message. Two of them are no refusal."""

STATES = {
    "send": Status.SENT,  # no receipt yet
    "deliver": Status.DELIVERED,
    "read": Status.DELIVERED,
    "link": Status.DELIVERED,  # followed the link; Viber only, family
    "unsubscribe": Status.DELIVERED,  # from the Viber sender; family
    "not_deliver": Status.UNDELIVERABLE,
    "expired": Status.EXPIRED,
    "partly_deliver": Status.UNCONFIRMED,  # sent, and no receipt ever came
}
"""`<state>`, and its attributes `sms` and `viber`."""

ENDS = frozenset(STATES) - {"send"}


NUMBER = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # "treat as opaque"; in samples seven digits
LONGEST = 500  # characters that are looked at


def find(text: str, table: Iterable[tuple[Meant, tuple[str, ...]]]) -> tuple[str, Meant] | None:
    """The name and the meaning of the first entry whose fragment is in the text."""
    said = " ".join(text[:LONGEST].casefold().replace("ё", "е").split())
    for meaning, fragments in table:
        if any(_holds(said, fragment) for fragment in fragments):
            return fragments[0], meaning
    return None


def _holds(said: str, fragment: str) -> bool:
    """Whether the parts of a fragment stand in the text one after another."""
    place = 0
    for part in fragment.split(" … "):
        place = said.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def rooted(body: bytes, root: str, other: str) -> xml.Element | Failure:
    """The document, whichever of the two its root is; what is wrong is told of the first."""
    found = xml.read(body, root)
    if not isinstance(found, Failure):
        return found
    second = xml.read(body, other)
    return found if isinstance(second, Failure) else second


def text_of(element: xml.Element) -> str:
    """Its text, which may have blanks about it."""
    return (element.text or "").strip()


def theirs(value: str | None) -> str:
    """Their number of a message; 0 is none, and what is no number of theirs is none either."""
    number = (value or "").strip()
    return number if NUMBER.fullmatch(number) and number.strip("0") else ""
