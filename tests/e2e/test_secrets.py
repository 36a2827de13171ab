"""Credentials that ride in addresses, and texts and numbers, stay out of what real processes say, however
much they are asked to say and whatever goes wrong."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from celery import Celery

from bulk_dispatch.domain.message import Message
from tests.e2e.conftest import Install, Installation
from tests.factories import message
from tests.stages.test_dispatch import dead_port
from tests.waiting import eventually

pytestmark = pytest.mark.slow

LOGIN, PASSWORD = "shop-of-olena", "pass&word=73 91/Жу"
TEXT = "Ваш код 739154 & <ніхто> не знає"
NUMBER = 380671234000
SMART: dict[str, object] = {
    "provider": "smartswitch",
    "login": LOGIN,
    "password": PASSWORD,
    "package_items": 5,
    "horizon": "3s",
}
SECRETS = {
    "the login": LOGIN,
    "the password": PASSWORD,
    "a part of the password": "73 91",
    "the text": TEXT,
    "a part of the text": "739154",
    "a number": "38067123",
}
MISDEEDS: list[dict[str, Any]] = [
    {"do": "drop_before"},
    {"do": "drop_after"},
    {"do": "cut"},
    {"do": "html"},
    {"do": "http", "code": 500},
    {"do": "deep"},
    {"do": "wrong_root"},
    {"do": "wrong_encoding"},
    {"do": "error", "code": "low_balance"},
    {"do": "error", "code": "internal"},
    {"do": "message_code", "code": "nonsense"},
]


def private(numbers: Iterable[int], **changes: Any) -> list[Message]:
    return [
        message(number, text=f"{TEXT} {number}", recipient=f"+{NUMBER + number}", **changes)
        for number in numbers
    ]


def found_in(lines: Iterable[str]) -> set[str]:
    """The names of the secrets that stand there, as they are or as an address or a repr has them."""
    heap = "\n".join(lines)
    return {
        f"{name} ({form.__name__})"
        for name, secret in SECRETS.items()
        for form in (str, quote, quote_plus, ascii)
        if form(secret).strip("'") in heap
    }


def ours(installation: Installation) -> list[str]:
    """What all processes but the make-believe provider have said."""
    return [line for line in installation.log if not line.startswith("sandbox")]


def test_processes_that_tell_all_tell_no_secret(install: Install) -> None:
    options = ("--login", LOGIN, "--password", PASSWORD)
    with dead_port() as port:
        installation = install(
            log_level="DEBUG",
            sandbox=options,
            smart=SMART,
            nobody={**SMART, "url": f"http://127.0.0.1:{port}"},
            wrong={**SMART, "login": f"{LOGIN}-and-son"},
        )
        installation.script(*({**misdeed, "times": 1} for misdeed in MISDEEDS))
        installation.enqueue(private(range(70), route="smart"))
        installation.enqueue(private(range(70, 75), route="nobody"))
        installation.enqueue(private(range(75, 80), route="wrong"))
        _by_celery(installation)

        eventually(lambda: _dealt_with(installation), within=60, every=0.2)

    said = ours(installation)
    heap = "\n".join(said)
    assert "DEBUG" in heap
    for word in ("lost", "not_sent", "unreadable", "server_error", "credentials", "money"):
        assert f"{word}: " in heap
    assert "there is no task of that name" in heap
    assert "it cannot be read: ContentDisallowed" in heap
    assert [(line, names) for line in said if (names := found_in([line]))] == []


def _by_celery(installation: Installation) -> None:
    """As an application does that does not import us; most of it spoilt."""
    app = Celery(broker=installation.settings.broker_url, set_as_current=False)
    for number in (80, 81):
        (one,) = private([number], route="smart")
        app.send_task("bulk_dispatch.enqueue", args=[one.as_dict()])
        app.send_task("bulk_dispatch.enqueue", kwargs={**one.as_dict(), "client_id": TEXT, "recipient": TEXT})
        app.send_task("bulk_dispatch.enqeue", args=[one.as_dict()])
        app.send_task("bulk_dispatch.enqueue", args=[one.as_dict()], serializer="pickle")


def _dealt_with(installation: Installation) -> bool:
    """Whether nothing of the good route waits any more; what it has may still be on its way."""
    with installation.ledger.begin() as connection:
        waiting = connection.exec_driver_sql(
            "SELECT count(*) FROM messages WHERE route = 'smart' AND status IN ('queued', 'sending')"
        ).scalar_one()
        stopped = connection.exec_driver_sql(
            "SELECT count(*) FROM routes WHERE name = 'wrong' AND state = 'stopped'"
        ).scalar_one()
        unsent = connection.exec_driver_sql(
            "SELECT count(*) FROM packages WHERE route = 'nobody'"
        ).scalar_one()
    return installation.books().total == 82 and not waiting and stopped == 1 and unsent > 1
