"""What webcom says when it refuses, in both languages (sheet section 5).

The sheet has fragments; the words around them are ours. English 17 to 19 stand there in brackets only, so
they are ours altogether.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Literal, NamedTuple

Language = Literal["english", "russian"]

SENT = "send"  # the text of a recipient taken [seed]


class Words(NamedTuple):
    """One text, twice."""

    english: str
    russian: str


class DocumentError(Enum):
    """A report on the whole document, in `<error>`."""

    FORMAT = "format"
    LOGIN = "login"
    NO_DATA = "no data"
    BLOCKED = "blocked"
    IDENTICAL = "identical"  # of the GET API [same-family docs]; here only when the script wants it


class Refusal(IntEnum):
    """A report on one recipient, by its number in the sheet's table."""

    GATEWAY_OUT_OF_SMS = 1
    OUT_OF_SMS = 2
    BLOCKED = 3
    NO_PHONE = 4
    STOP_LIST = 5
    CLOSED_FOR_YOU = 6
    CLOSED = 7
    MODERATOR = 8
    NO_SENDER = 9
    LONG_SENDER = 10
    LONG_PHONE = 11
    NO_TEXT = 12
    NO_LINK = 13
    NO_CARD = 14
    UNKNOWN_SENDER = 15
    UNMODERATED_SENDER = 16
    WAITS_FOR_MONEY = 17  # no refusal: it goes out after a top-up
    ALREADY_SENT = 18  # nor is this: it was taken before
    IDENTICAL = 19


ACCEPTING = frozenset({Refusal.WAITS_FOR_MONEY, Refusal.ALREADY_SENT})

REFUSALS: Mapping[Refusal, Words] = {
    Refusal.GATEWAY_OUT_OF_SMS: Words(
        "We have run out of SMS. Please contact your manager",
        "У нас закончились SMS. Свяжитесь с вашим менеджером",
    ),
    Refusal.OUT_OF_SMS: Words("Out of SMS", "Закончились SMS"),
    Refusal.BLOCKED: Words("Account blocked", "Аккаунт заблокирован"),
    Refusal.NO_PHONE: Words("Specify phone number", "Укажите номер телефона"),
    Refusal.STOP_LIST: Words("Phone number is on the stop list", "Номер телефона в стоп-листе"),
    Refusal.CLOSED_FOR_YOU: Words("This destination is closed for you", "Данное направление закрыто для вас"),
    Refusal.CLOSED: Words("This destination is closed", "Данное направление закрыто"),
    Refusal.MODERATOR: Words("SMS text rejected by moderator", "Текст SMS отклонен модератором"),
    Refusal.NO_SENDER: Words("No sender", "Нет отправителя"),
    Refusal.LONG_SENDER: Words(
        "Sender must not exceed 15 characters for digits or 11 alphanumeric characters",
        "Отправитель не должен превышать 15 цифр или 11 букв и цифр",
    ),
    Refusal.LONG_PHONE: Words(
        "Phone number must be less than 15 characters", "Номер телефона должен быть меньше 15 символов"
    ),
    Refusal.NO_TEXT: Words("No message text", "Нет текста сообщения"),
    Refusal.NO_LINK: Words("No link", "Нет ссылки"),
    Refusal.NO_CARD: Words(
        "Specify contact name and at least one parameter",
        "Укажите название контакта и хотя бы один параметр",
    ),
    Refusal.UNKNOWN_SENDER: Words("There is no such sender", "Такого отправителя нет"),
    Refusal.UNMODERATED_SENDER: Words("Sender has not been moderated", "Отправитель не прошел модерацию"),
    Refusal.WAITS_FOR_MONEY: Words(
        "Insufficient funds; it will be sent once you top up",
        "Недостаточно средств, SMS будет отправлена после пополнения счета",
    ),
    Refusal.ALREADY_SENT: Words("This message was already sent", "Сообщение уже было отправлено"),
    Refusal.IDENTICAL: Words(
        "More than one identical request within a minute", "Более одного одинакового запроса в минуту"
    ),
}

ERRORS: Mapping[DocumentError, Words] = {
    DocumentError.FORMAT: Words("Incorrect XML document format", "Неправильный формат XML документа"),
    DocumentError.LOGIN: Words("Incorrect login or password", "Неправильный логин или пароль"),
    DocumentError.NO_DATA: Words("POST data is missing", "POST данные отсутствуют"),
    DocumentError.BLOCKED: Words("Account is blocked", "Ваш аккаунт заблокирован"),
    DocumentError.IDENTICAL: REFUSALS[Refusal.IDENTICAL],
}

# "A free error text" is all the sheet says of it (section 4.1).
UNKNOWN_ID = Words("There is no such message", "Такого сообщения нет")


def in_words(code: int | str, language: Language) -> str:
    """A text of the table by its number; anything else stands for itself."""
    known = REFUSALS.get(Refusal(code)) if isinstance(code, int) and code in REFUSALS else None
    return getattr(known, language) if known else str(code)
