"""Weather: trouble with a server is said once a spell, by each who meets it; all else is said as ever."""

import logging

import pytest

from bulk_dispatch.outages import SPELL, SaidOnce

CANNOT = "consumer: Cannot connect to %s: %s.\n%s\n"  # Celery's
REFUSED, LOADING = ConnectionError("Connection refused"), ConnectionError("loading the dataset")
CONSUMER, TASKS = "celery.worker.consumer.consumer", "bulk_dispatch.tasks"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def once(clock: Clock) -> SaidOnce:
    return SaidOnce(clock)


def record(name: str, template: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, template, args, None)


def test_given_a_server_that_stays_away_then_it_is_said_once(once: SaidOnce, clock: Clock) -> None:
    said = []
    for attempt in range(60):
        said.append(once.filter(record(CONSUMER, CANNOT, "redis://", REFUSED, f"again ({attempt}/None)")))
        clock.now += 2

    assert said == [True] + [False] * 59


def test_given_another_trouble_or_another_who_meets_it_then_that_is_said_too(once: SaidOnce) -> None:
    assert once.filter(record(CONSUMER, CANNOT, "redis://", REFUSED, "1"))
    assert once.filter(record(CONSUMER, CANNOT, "redis://", LOADING, "2"))
    assert once.filter(record("celery.beat", "beat: Connection error: %s. Trying again in %s s", REFUSED, 1))
    assert not once.filter(record(CONSUMER, CANNOT, "redis://", REFUSED, "3"))


def test_given_stages_and_wakeups_of_many_names_then_their_trouble_is_one(once: SaidOnce) -> None:
    template = "wakeup_not_sent tick=%s problem=%s"

    assert once.filter(record(TASKS, template, "poll a", "Couldn't apply scheduled task poll a: no memory"))
    assert not once.filter(
        record(TASKS, template, "poll b", "Couldn't apply scheduled task poll b: no memory")
    )
    assert once.filter(
        record(TASKS, "server_unavailable stage=%s name=%s problem=%s", "poll", "a", "no memory")
    )
    assert not once.filter(
        record(TASKS, "server_unavailable stage=%s name=%s problem=%s", "ingest", "b", "no memory")
    )


def test_given_the_same_after_a_while_of_peace_then_it_is_said_again(once: SaidOnce, clock: Clock) -> None:
    assert once.filter(record(CONSUMER, CANNOT, "redis://", REFUSED, "1"))
    clock.now += SPELL + 1
    assert once.filter(record(CONSUMER, CANNOT, "redis://", REFUSED, "1"))


@pytest.mark.parametrize(
    "said",
    [
        record(TASKS, "dead_letter lane=%s reason=%r", "bulk", "sender: is empty"),
        record(TASKS, "receipts_crashed route=%s problem=%s", "a", "KeyError", level=logging.ERROR),
        record(CONSUMER, "Received unregistered task of type %s. %s", "a", "the same body"),
        record(TASKS, "server_unavailable stage=%s name=%s problem=%s", "poll", "a", "x", level=logging.INFO),
        record(TASKS, "routes_kept"),
    ],
    ids=lambda said: str(said.msg),
)
def test_given_what_is_no_weather_then_it_is_said_each_time(once: SaidOnce, said: logging.LogRecord) -> None:
    assert once.filter(said)
    assert once.filter(said)
