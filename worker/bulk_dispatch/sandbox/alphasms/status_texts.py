"""Delivery states of the plain HTTP API, and their words (sheet section 10).

The words are localised and ours; the code is what counts.
"""

from enum import IntEnum
from typing import Literal

Language = Literal["english", "russian", "ukrainian"]


class HttpState(IntEnum):
    """`code:` of `receive` [vendor docs], [client code]."""

    PENDING = 0
    SENDING = 1
    SENT = 2
    DELIVERED = 3
    OUT_OF_REACH = 5
    DELETED = 10
    PARTLY_DELIVERED = 50
    NOT_SUPPORTED = 95
    NETWORK_FAILURE = 96
    BAD_NUMBER = 99
    READ = 116


WORDS: dict[int, dict[Language, str]] = {
    HttpState.PENDING: {"english": "Pending", "russian": "В очереди", "ukrainian": "У черзі"},
    HttpState.SENDING: {"english": "Sending", "russian": "Отправляется", "ukrainian": "Надсилається"},
    HttpState.SENT: {"english": "Sent", "russian": "Отправлено", "ukrainian": "Надіслано"},
    HttpState.DELIVERED: {"english": "Delivered", "russian": "Доставлено", "ukrainian": "Доставлено"},
    HttpState.OUT_OF_REACH: {
        "english": "Out of reach",
        "russian": "Абонент вне зоны",
        "ukrainian": "Абонент поза зоною",
    },
    HttpState.DELETED: {"english": "Deleted", "russian": "Удалено", "ukrainian": "Видалено"},
    HttpState.PARTLY_DELIVERED: {
        "english": "Partly delivered",
        "russian": "Доставлено частично",
        "ukrainian": "Доставлено частково",
    },
    HttpState.NOT_SUPPORTED: {
        "english": "Operator not supported",
        "russian": "Оператор не поддерживается",
        "ukrainian": "Оператор не підтримується",
    },
    HttpState.NETWORK_FAILURE: {
        "english": "Network failure",
        "russian": "Ошибка сети",
        "ukrainian": "Помилка мережі",
    },
    HttpState.BAD_NUMBER: {
        "english": "Number not in service",
        "russian": "Номер не обслуживается",
        "ukrainian": "Номер не обслуговується",
    },
    HttpState.READ: {"english": "Read", "russian": "Прочитано", "ukrainian": "Прочитано"},
}
