"""Handing over by a task: what becomes of each of the things that it carries."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.intake import Intake
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.messaging.inspection import sees
from bulk_dispatch.messaging.wakeup import Notifier
from bulk_dispatch.producer import HandedOver, Producer
from bulk_dispatch.routing import Route
from tests.conftest import Setup
from tests.factories import message, messages

IN_TWO_YEARS = datetime.now(UTC) + timedelta(days=730)


@pytest.fixture
def app(setup: Setup) -> Iterator[Celery]:
    with celery_app(setup.settings.broker_url) as app:
        yield app


@pytest.fixture
def producer(app: Celery, intake: Intake) -> Producer:
    return Producer(intake, Notifier(app, intake))


@pytest.fixture
def lines(setup: Setup) -> Mapping[str, Route]:
    return setup.runtime(alpha={"url": "http://127.0.0.1:9"}).routes


def reasons(intake: Intake) -> list[str]:
    return [letter["reason"] for _, letter in intake.read_dead()]


CASES = {
    "a message": (message(1).as_dict(), ""),
    "an urgent one": (message(1, lane="urgent").as_dict(), ""),
    "no message at all": ("order-18", "message: must be an object of fields"),
    "a field missing": ({"client_id": "order-18"}, "recipient: is missing"),
    "a time that is not meant": (
        message(1, send_at=IN_TWO_YEARS).as_dict(),
        "send_at: must lie within a year from now",
    ),
    "what its route cannot carry": (message(1, sender="S" * 12).as_dict(), "sender: "),
    "a route that another worker may know": (message(1, route="newer").as_dict(), ""),
    "a number whose country such a route may tell": (
        {**message(1, route="newer").as_dict(), "recipient": "093 000 00 01"},
        "",
    ),
    "a number of no country": ({**message(1).as_dict(), "recipient": "093 000 00 01"}, "recipient: "),
}


@pytest.mark.parametrize(("offered", "reason"), CASES.values(), ids=CASES)
def test_what_is_handed_over_waits_in_the_intake_or_is_a_dead_letter_with_its_reason(
    producer: Producer, intake: Intake, lines: Mapping[str, Route], offered: object, reason: str
) -> None:
    handed = producer.hand_over([offered], lines)

    assert handed == (HandedOver(taken=0, dead=1) if reason else HandedOver(taken=1, dead=0))
    assert sum(intake.waiting().values()) == handed.taken
    assert [found[: len(reason)] for found in reasons(intake)] == [reason] * handed.dead


def test_one_that_cannot_be_a_message_keeps_no_other_back(
    producer: Producer, intake: Intake, lines: Mapping[str, Route]
) -> None:
    offered = [*(one.as_dict() for one in messages(CHUNK + 1)), 5]

    assert producer.hand_over(offered, lines) == HandedOver(taken=CHUNK + 1, dead=1)

    assert intake.waiting()[Lane.BULK] == CHUNK + 1


@pytest.mark.parametrize(("lane", "queue"), [("bulk", "bulk"), ("urgent", "urgent")])
def test_the_ingest_of_its_lane_is_woken(
    producer: Producer, app: Celery, lines: Mapping[str, Route], lane: str, queue: str
) -> None:
    producer.hand_over([message(1, lane=lane).as_dict()], lines)

    assert [name for name in ("bulk", "urgent") if sees(app, name)] == [queue]


def test_nobody_is_woken_for_a_dead_letter(
    producer: Producer, app: Celery, lines: Mapping[str, Route]
) -> None:
    producer.hand_over(["order-18"], lines)

    assert not any(sees(app, name) for name in ("bulk", "urgent"))


def test_a_task_that_is_refused_is_one_dead_letter_of_all_it_carries(
    producer: Producer, intake: Intake
) -> None:
    assert producer.refuse([message(1).as_dict(), 5], "it expired") == HandedOver(taken=0, dead=2)

    assert reasons(intake) == ["task: it expired"]
