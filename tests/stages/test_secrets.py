"""Nobody reads a text, a number or a key in a log, or beside what happened, not even when all fails."""

import json
import logging
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.runtime import Runtime
from tests.factories import message, messages
from tests.stages.test_dispatch import dead_port
from tests.stages.test_pipeline import BY_COMMAND
from tests.stages.world import KEY, LOGIN, PASSWORD, OpenWorld, World

TEXT = 'Ваш код 739154 & <ніхто> "не знає"'
NUMBER = "+380671234567"
SECRETS = {
    "the text": TEXT,
    "a part of the text": "739154",
    "the number": NUMBER,
    "the number without its plus": NUMBER[1:],
    "the middle of the number": "067123",
    "the key": KEY,
}


def written(value: object) -> str:
    """As a producer of another house writes it."""
    return json.dumps(value, ensure_ascii=False)


def private(number: int = 4567, **changes: Any) -> Message:
    return message(number, **{"text": f"{TEXT} {number}", "recipient": f"+38067123{number:04d}", **changes})


def told(caplog: pytest.LogCaptureFixture) -> str:
    """All that we logged: the lines, their parts, and the errors they carry."""
    ours = [record for record in caplog.records if record.name.split(".")[0] == "bulk_dispatch"]
    return "\n".join(
        f"{record.getMessage()} {record.args!r} {record.exc_info!r} {record.exc_text!r}" for record in ours
    )


def noted(world: World) -> str:
    """All that stands beside what happened, where everybody may read it."""
    columns = (
        "events.note",
        "events.code",
        "packages.reason",
        "packages.job",
        "routes.reason",
        "conflicts.fields",
    )
    found = [world.rows(f"SELECT {column} AS it FROM {column.split('.')[0]}") for column in columns]
    return "\n".join(str(row.it) for rows in found for row in rows)


def no_secret_in(heap: str) -> None:
    assert {name for name, secret in SECRETS.items() if secret in heap} == set()


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.mark.slow
def test_a_run_through_every_fault_tells_nothing(
    open_world: OpenWorld, everything_logged: pytest.LogCaptureFixture
) -> None:
    short: dict[str, object] = {"connect_timeout": "1s", "timeout": "200ms", "attempts": 2}
    world = open_world(alpha=short, beta=short)
    for at, faults in enumerate(zip_longest(*BY_COMMAND.values(), fillvalue={"do": "drop_after"})):
        world.enqueue([private(4 * at + n, route="beta" if n % 2 else "alpha") for n in range(4)])
        rules = zip(BY_COMMAND, faults, strict=True)
        world.provider.script(
            *({**fault, "when": {"command": command}, "times": 2} for command, fault in rules)
        )
        world.all_stages_once()
        world.passes(seconds=61)
        world.all_stages_once()
        world.mend()

    world.until_final(step=400)

    heap = told(everything_logged)
    assert "route_trouble" in heap
    assert "status_failed" in heap
    assert "package_settled" in heap
    assert "unknown_codes" in heap
    no_secret_in(heap)
    no_secret_in(noted(world))


def test_dead_letters_and_conflicts_tell_nothing(
    world: World, everything_logged: pytest.LogCaptureFixture
) -> None:
    good = private().as_dict()
    spoilt: list[Any] = [
        {**good, "recipient": NUMBER + "x"},
        {**good, "recipient": NUMBER + "12345"},
        {**good, "recipient": TEXT},
        {**good, "recipient": [NUMBER]},
        {**good, "text": TEXT + "\x07"},
        {**good, "text": TEXT * 100},
        {**good, "text": [TEXT]},
        {**good, TEXT: TEXT},
        {**good, NUMBER: TEXT},
        {**good, "recipient": "+4915112345670", "kind": "voice"},
        TEXT,
        [NUMBER],
        {**good, "text": "Another"},
    ]
    world.runtime.intake.client.xadd("worker:intake:bulk", {"n": 1, "m": f'[{{"text": "{TEXT}'})
    world.runtime.intake.client.xadd("worker:intake:bulk", {"n": 1, "m": str([good])})
    raw = world.runtime.intake
    raw.add(Lane.BULK, [private()])
    for one in spoilt:
        raw.client.xadd("worker:intake:bulk", {"n": 1, "m": written([one])})

    done = world.ingest()

    assert (done.new, done.conflicts, done.dead) == (1, 1, len(spoilt) + 1)
    heap = told(everything_logged)
    assert heap.count("dead_letter ") == len(spoilt) + 1
    assert "conflict client_id=client-4567 fields=text" in heap
    no_secret_in(heap)
    assert "4915112345670" not in heap
    no_secret_in(noted(world))
    no_secret_in("\n".join(fields["reason"] for _, fields in raw.read_dead()))


def test_columns_in_the_wrong_order_tell_nothing(
    world: World, everything_logged: pytest.LogCaptureFixture
) -> None:
    """The commonest mistake with a file: every field holds what belongs into another."""
    fields = private().as_dict()
    for field in ("client_id", "sender", "kind", "lane", "route", "campaign", "valid_until"):
        for value in (TEXT, NUMBER, TEXT * 5):
            entry = written([{**fields, "client_id": f"{field}-{len(value)}", field: value}])
            world.runtime.intake.client.xadd("worker:intake:bulk", {"n": 1, "m": entry})

    world.ingest()

    no_secret_in(told(everything_logged))


def test_a_row_the_database_refuses_tells_nothing(
    world: World, everything_logged: pytest.LogCaptureFixture
) -> None:
    with world.runtime.ledger.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE messages ADD CONSTRAINT poison CHECK (sender <> 'Poison')")
    try:
        world.runtime.intake.add(Lane.BULK, [private(), private(2, sender="Poison"), private(3)])
        assert world.ingest().dead == 1
    finally:
        with world.runtime.ledger.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE messages DROP CONSTRAINT poison")

    no_secret_in(told(everything_logged))
    no_secret_in("\n".join(fields["reason"] for _, fields in world.runtime.intake.read_dead()))


def test_what_a_runtime_and_its_parts_show_of_themselves_tells_nothing(world: World) -> None:
    """A repr ends up in tracebacks."""
    world.enqueue([private()])
    claim = world.claim()
    assert claim.package is not None
    line = world.line()
    request = line.dialect.submit(claim.package.items)
    shown: list[object] = [world.runtime, line, line.config, claim, request, private()]
    assert isinstance(world.runtime, Runtime)

    no_secret_in("\n".join(repr(one) for one in shown))
    no_secret_in(repr(world.history(4567)).replace(NUMBER, ""))  # a history is for who asked for that message
    world.passes(seconds=61)
    assert world.until_final() == {Status.DELIVERED: 1}


def test_the_log_still_tells_what_happened(world: World, everything_logged: pytest.LogCaptureFixture) -> None:
    world.runtime.intake.add(Lane.BULK, messages(3))
    world.ingest()
    world.dispatch()
    world.provider.settle_down()

    assert world.until_final() == {Status.DELIVERED: 3}

    heap = told(everything_logged)
    assert "ingested lane=bulk new=3 duplicates=0 conflicts=0 dead=0" in heap
    assert "package_settled route=alpha package=" in heap
    assert "items=3 sent=3" in heap
    assert "polled route=alpha packages=1 delivered=3" in heap


CREDENTIALS = {
    "the login": LOGIN,
    "the password": PASSWORD,
    "the key": KEY,
    "the path of receipts": "a-secret-p",
}
BY_ROUTE: dict[str, dict[str, object]] = {
    "smart": {"webhook_secret": "a-secret-path-of-ours"},  # credentials and texts are in the address
    "plain": {"params_in": "query"},  # the same
    "webcom": {},
}
SPOILT: list[dict[str, object]] = [
    {"do": "drop_before"},
    {"do": "drop_after"},
    {"do": "cut"},
    {"do": "truncated"},
    {"do": "empty"},
    {"do": "html"},
    {"do": "wrong_encoding"},
    {"do": "http", "code": 400},
    {"do": "http", "code": 404},
    {"do": "http", "code": 500},
    {"do": "missing", "share": 1},
    {"do": "message_code", "code": TEXT},
    {"do": "unknown_code", "code": LOGIN},
]


@pytest.mark.parametrize("route", BY_ROUTE)
@pytest.mark.slow
def test_whatever_goes_wrong_with_an_address_full_of_secrets_nobody_reads_them(
    open_world: OpenWorld, everything_logged: pytest.LogCaptureFixture, route: str
) -> None:
    """Not in what anybody logs here, libraries included, nor beside what happened."""
    world = open_world(**{route: {"attempts": 9, **BY_ROUTE[route]}})
    for at, fault in enumerate(SPOILT):
        world.enqueue([private(2 * at + n, route=route) for n in range(2)])
        world.provider.script({**fault, "when": {"command": "send"}})
        world.dispatch(route)
        world.mend()
        world.passes(minutes=20)
    with dead_port() as port:
        nobody = open_world(**{route: {**BY_ROUTE[route], "url": f"http://127.0.0.1:{port}"}})
        nobody.enqueue([private(99, route=route)])
        nobody.dispatch(route)

    heap = "\n".join(f"{record.getMessage()} {record.exc_text!r}" for record in everything_logged.records)
    assert "route_trouble" in heap
    assert "not_sent" in heap
    for where in (heap, noted(world), repr(world.runtime), repr(world.line(route).dialect)):
        no_secret_in(where)
        assert {name for name, secret in CREDENTIALS.items() if secret in where} == set()
