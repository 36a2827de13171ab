"""Ingest: what the intake holds gets into the ledger, once, or to the dead letters with its reason."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import GROUP, Entry, Intake
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.providers.alphasms.xml import AlphaSmsXml
from bulk_dispatch.providers.interface import Account
from bulk_dispatch.stages.ingest import ENTRIES, IDLE, OCTETS, ROUNDS, Ingested
from tests.factories import message, messages
from tests.stages.mortal import Died, Fate, mortal
from tests.stages.world import World

STREAMS = {lane: f"worker:intake:{lane.value}" for lane in Lane}
BULK = STREAMS[Lane.BULK]


def raw_entry(intake: Intake, *offered: object, stream: str = BULK) -> None:
    """An entry as somebody writes it who does not use our producer."""
    intake.client.xadd(stream, {"n": len(offered), "m": json.dumps(offered)})
    intake.client.incrby(f"{stream}:waiting", len(offered))


def read_and_die(intake: Intake) -> list[Entry]:
    """A reader takes what there is, and is never heard of again."""
    return intake.read(Lane.BULK, ENTRIES, IDLE)


def nothing_is_left(intake: Intake) -> bool:
    """Every stream is empty, nothing is unacknowledged, and the count of waiting messages agrees."""
    pending = [
        intake.client.xpending(stream, GROUP) for stream in STREAMS.values() if intake.client.exists(stream)
    ]
    return (
        all(intake.client.xlen(stream) == 0 for stream in STREAMS.values())
        and all(summary["pending"] == 0 for summary in pending)
        and set(intake.waiting().values()) == {0}
    )


def the_letter(intake: Intake) -> dict[str, str]:
    """The one dead letter there is."""
    letters = intake.read_dead()
    assert len(letters) == 1
    return dict(letters[0][1])


# -- entering


def test_what_waits_is_moved_into_the_ledger_and_leaves_the_stream(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))
    intake.add(Lane.BULK, [message(4)])

    assert world.ingest() == Ingested(new=4)

    assert world.statuses() == {Status.QUEUED: 4}
    assert nothing_is_left(intake)


def test_an_empty_stream_is_no_work(world: World, intake: Intake) -> None:
    assert world.ingest() == Ingested()


def test_each_lane_is_moved_by_itself(world: World, intake: Intake) -> None:
    intake.add(Lane.URGENT, [message(1, lane="urgent")])
    intake.add(Lane.BULK, [message(2)])

    assert world.ingest(Lane.URGENT) == Ingested(new=1)

    assert world.message(1).lane == "urgent"
    assert intake.waiting() == {Lane.URGENT: 0, Lane.BULK: 1}


def test_everything_a_message_carries_arrives(world: World, intake: Intake) -> None:
    offered = {
        "client_id": "client-1",
        "recipient": "+38 (093) 111-00-01",
        "sender": "Shop",
        "text": 'Тарас & <"Co">\nsecond line',
        "kind": "flash",
        "lane": "urgent",
        "route": "beta",
        "campaign": "spring",
        "valid_until": "2031-03-04T21:00:00+02:00",
    }
    raw_entry(intake, offered)

    world.ingest()

    row = world.message()
    assert (row.recipient, row.sender, row.text) == ("+380931110001", "Shop", offered["text"])
    assert (row.kind, row.lane, row.route, row.campaign) == ("flash", "urgent", "beta", "spring")
    assert row.valid_until.isoformat() == "2031-03-04T19:00:00+00:00"


def test_a_number_on_the_stop_list_is_suppressed(world: World, intake: Intake) -> None:
    with world.runtime.ledger.begin() as connection:
        suppress(connection, [message(2).recipient])
    intake.add(Lane.BULK, messages(3))

    assert world.ingest() == Ingested(new=3)

    assert world.statuses() == {Status.QUEUED: 2, Status.SUPPRESSED: 1}
    assert world.walked(2) == ["suppressed"]


def test_a_worker_is_notified_for_every_route_and_lane_that_got_something(
    world: World, intake: Intake
) -> None:
    intake.add(Lane.BULK, [*messages(3), message(4, route="beta"), message(5, lane="urgent")])

    world.ingest()

    assert sorted(world.notified) == [
        ("dispatch", "alpha:bulk"),
        ("dispatch", "alpha:urgent"),
        ("dispatch", "beta:bulk"),
    ]


def test_nothing_is_begun_once_the_worker_is_stopping(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))

    assert world.ingest(Lane.BULK, replace(world.runtime, stopping=lambda: True)) == Ingested()

    assert world.statuses() == {}
    assert intake.waiting()[Lane.BULK] == 3


@pytest.mark.slow
def test_a_step_is_bounded_and_says_that_there_may_be_more(world: World, intake: Intake) -> None:
    many = OCTETS // 1500 * ROUNDS  # a few more than fit: each is more than its text
    for each in messages(many, text="x" * 1500):
        intake.add(Lane.BULK, [each])

    done = world.ingest()

    assert done.more
    assert many * 0.8 < done.new < many
    assert done.new + world.ingest().new == many


# -- repeats


def test_a_repeat_is_counted_and_not_entered(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, [*messages(3), message(1)])
    intake.add(Lane.BULK, [message(2)])
    world.ingest()
    intake.add(Lane.BULK, messages(4))

    assert world.ingest() == Ingested(new=1, duplicates=3)

    assert world.statuses() == {Status.QUEUED: 4}
    assert world.books().duplicates == 5


def test_a_producer_travels_with_its_messages_and_keeps_its_ids_for_itself(
    world: World, intake: Intake
) -> None:
    intake.add(Lane.BULK, [message(1), message(1, producer="shop", text="Other")])
    raw_entry(intake, {**message(1).as_dict(), "producer": "bank"})

    assert world.ingest() == Ingested(new=3)

    rows = world.rows("SELECT producer FROM messages ORDER BY producer")
    assert [row.producer for row in rows] == ["", "bank", "shop"]


def test_a_corrected_file_goes_out_and_the_same_again_does_not(
    world: World, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.provider.script({"do": "message_code", "code": 203})
    intake.add(Lane.BULK, messages(3, sender="Shob"))
    world.ingest()
    world.dispatch()
    assert world.statuses() == {Status.REJECTED: 3}
    world.provider.script()

    intake.add(Lane.BULK, messages(3))
    assert world.ingest() == Ingested(new=3)
    for again in (messages(3), messages(3, sender="Shob")):
        intake.add(Lane.BULK, again)
        assert world.ingest() == Ingested(duplicates=3)
    world.dispatch()

    assert world.statuses() == {Status.REJECTED: 3, Status.SENT: 3}
    assert "new=3 duplicates=0 conflicts=0 dead=0 corrected=3" in caplog.text
    world.promise_holds()


@pytest.mark.parametrize(
    "change",
    [{"text": "Another"}, {"sender": "Other"}, {"recipient": "+380939999999"}, {"kind": "flash"}],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("together", [True, False], ids=["in one entry", "later"])
def test_a_used_id_with_other_content_is_a_conflict(
    world: World, intake: Intake, change: dict[str, str], together: bool
) -> None:
    first, other = message(1), message(1, **change)
    intake.add(Lane.BULK, [first, other] if together else [first])
    if not together:
        assert world.ingest() == Ingested(new=1)
        intake.add(Lane.BULK, [other])

    assert world.ingest() == Ingested(new=int(together), conflicts=1)

    recorded = world.rows("SELECT client_id, fields, offered FROM conflicts")
    assert [(row.client_id, row.fields) for row in recorded] == [("client-1", next(iter(change)))]
    assert recorded[0].offered.items() >= change.items()
    assert world.message().text == first.text
    assert world.books().total == 1


def test_readers_side_by_side_enter_each_message_once(world: World, intake: Intake) -> None:
    for start in range(0, 120, 3):  # each overlaps with the next ones, in another order
        offered = [message(n) for n in range(start, start + 10)]
        intake.add(Lane.BULK, offered if start % 2 else offered[::-1])

    with ThreadPoolExecutor(4) as readers:
        done = list(readers.map(lambda _: world.ingest(), range(4)))

    assert sum(one.new for one in done) == 127
    assert sum(one.duplicates for one in done) == 400 - 127
    assert world.statuses() == {Status.QUEUED: 127}
    assert nothing_is_left(intake)


def test_another_route_or_lane_is_no_other_content(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1)])
    world.ingest()
    intake.add(Lane.BULK, [message(1, route="beta", lane="urgent", campaign="spring")])

    assert world.ingest() == Ingested(duplicates=1)


# -- dead letters


GOOD: dict[str, Any] = message(1).as_dict()


@dataclass(frozen=True)
class Unfit:
    """What was offered, and what the reason must name. Nothing personal may stand in the reason."""

    name: str
    offered: object
    reason: tuple[str, ...]
    not_in_reason: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != field}


UNFIT = [
    Unfit("a route that no file can have", {**GOOD, "route": "mother's"}, ("route", "alpha, beta")),
    Unfit("a route too long", {**GOOD, "route": "r" * 65}, ("route", "64")),
    Unfit("no client id", without("client_id"), ("client_id", "missing")),
    Unfit("no recipient", without("recipient"), ("recipient", "missing")),
    Unfit("no sender", without("sender"), ("sender", "missing")),
    Unfit("no text", without("text"), ("text", "missing")),
    Unfit("an empty client id", {**GOOD, "client_id": ""}, ("client_id", "empty")),
    Unfit("an empty recipient", {**GOOD, "recipient": " "}, ("recipient", "empty")),
    Unfit("an empty sender", {**GOOD, "sender": ""}, ("sender", "empty")),
    Unfit("an empty text", {**GOOD, "text": " \n"}, ("text", "empty")),
    Unfit("a word for a number", {**GOOD, "recipient": "mother"}, ("recipient", "a letter")),
    Unfit(
        "a number with a letter",
        {**GOOD, "recipient": "+38093111000x"},
        ("recipient", "a letter"),
        ("111000",),
    ),
    Unfit("a number too long", {**GOOD, "recipient": "+3809311100012345"}, ("recipient",), ("31110001",)),
    Unfit("a number that is no text", {**GOOD, "recipient": 380931110001}, ("recipient",), ("380931110001",)),
    Unfit("a client id too long", {**GOOD, "client_id": "c" * 129}, ("client_id", "128")),
    Unfit("a sender too long for us", {**GOOD, "sender": "S" * 16}, ("sender", "15")),
    Unfit("a sender too long for the provider", {**GOOD, "sender": "S" * 12}, ("sender", "11")),
    Unfit("a text too long for us", {**GOOD, "text": "a" * 2001}, ("text", "2000"), ("aaa",)),
    Unfit(
        "a text too long for the provider", {**GOOD, "text": "a" * 1600}, ("text", "10 segments"), ("aaa",)
    ),
    Unfit(
        "voice to abroad", {**GOOD, "kind": "voice", "recipient": "+4915112345678"}, ("voice",), ("1234567",)
    ),
    Unfit("an unknown kind", {**GOOD, "kind": "fax"}, ("kind", "sms, flash, voice")),
    Unfit("an unknown lane", {**GOOD, "lane": "slow"}, ("lane", "urgent, bulk")),
    Unfit("an unknown field", {**GOOD, "colour": "red"}, ("colour", "client_id, recipient")),
    Unfit(
        "a control character in the text",
        {**GOOD, "text": "sec\x07ret"},
        ("text", "control"),
        ("sec",),
    ),
    Unfit("a control character in the sender", {**GOOD, "sender": "Sh\top"}, ("sender", "control")),
    Unfit("a NUL in the client id", {**GOOD, "client_id": "a\0b"}, ("client_id", "control")),
    Unfit("half a character", {**GOOD, "text": "sec\ud800ret"}, ("text", "control"), ("sec",)),
    Unfit(
        "a validity without a zone", {**GOOD, "valid_until": "2031-03-04T21:00:00"}, ("valid_until", "zone")
    ),
    Unfit("a validity that is no date", {**GOOD, "valid_until": "soon"}, ("valid_until", "date and time")),
    Unfit("a list for a text", {**GOOD, "text": ["a"]}, ("text", "must be text")),
    Unfit("null for a sender", {**GOOD, "sender": None}, ("sender", "must be text")),
    Unfit("a list for a lane", {**GOOD, "lane": []}, ("lane",)),
    Unfit("a number for an object", 5, ("object",)),
    Unfit("a text for an object", "secret", ("object",), ("secret",)),
    Unfit("null for an object", None, ("object",)),
    Unfit("a list for an object", [GOOD], ("object",), (GOOD["text"], GOOD["recipient"])),
    Unfit("an empty object", {}, ("client_id", "missing")),
    Unfit(
        "a text where a name should be",  # a file without its header row
        {"Your code is 1234": "x", "+380931110001": "y"},
        ("is no field",),
        ("1234", "380931110001"),
    ),
]


@pytest.mark.parametrize("unfit", UNFIT, ids=str)
def test_what_cannot_be_a_message_is_buried_with_its_reason(
    world: World, intake: Intake, unfit: Unfit
) -> None:
    raw_entry(intake, unfit.offered, message(2).as_dict())

    assert world.ingest() == Ingested(new=1, dead=1)

    letter = the_letter(intake)
    assert all(part in letter["reason"] for part in unfit.reason), letter["reason"]
    assert not any(part in letter["reason"] for part in unfit.not_in_reason), letter["reason"]
    assert json.loads(letter["content"]) == unfit.offered  # nothing is lost: it can be mended and given again
    assert letter["lane"] == "bulk"
    assert world.statuses() == {Status.QUEUED: 1}
    assert nothing_is_left(intake)


class Clumsy(AlphaSmsXml):
    """A dialect with a fault in it."""

    def check(self, message: Message) -> None:
        if message.client_id == "client-1":
            raise ZeroDivisionError(message.text)


def test_a_message_over_which_we_stumble_is_buried_and_holds_nothing_up(world: World, intake: Intake) -> None:
    line = world.line()
    account = Account(url=line.config.url, key="secret")
    world.runtime = replace(world.runtime, routes={"alpha": replace(line, dialect=Clumsy(account))})
    intake.add(Lane.BULK, messages(2))

    assert world.ingest() == Ingested(new=1, dead=1)

    letter = the_letter(intake)
    assert letter["reason"] == "we stumble over it: ZeroDivisionError"
    assert json.loads(letter["content"]) == message(1).as_dict()
    assert nothing_is_left(intake)


def test_a_message_without_a_route_takes_the_only_one(setup: Any, world: World, intake: Intake) -> None:
    alone = setup.runtime(alpha={"url": world.provider.url})
    raw_entry(intake, without("route"))

    assert world.ingest(Lane.BULK, alone) == Ingested(new=1)

    assert world.message().route == "alpha"


SHALLOW = 20_000  # brackets: far more than any parser walks into

UNREADABLE: dict[str, dict[str | bytes, str | bytes]] = {
    "no JSON": {"n": "2", "m": "{nonsense"},
    "cut off": {"n": "1", "m": json.dumps([GOOD])[:-5]},
    "an object and no list": {"n": "1", "m": json.dumps(GOOD)},
    "a bare number": {"n": "1", "m": "5"},
    "no messages at all": {"n": "1"},
    "fields of somebody else": {"hello": "world"},
    "no count and no JSON": {"m": "]["},
    "a number of five thousand digits": {"n": "1", "m": "[" + "9" * 5000 + "]"},
    "brackets without end": {"n": "1", "m": "[" * SHALLOW},
    "bytes that are no UTF-8": {"n": "1", "m": b'[{"client_id": "\xff\xfe"'},
}


@pytest.mark.parametrize("fields", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_entry_nobody_can_read_is_buried_whole_and_holds_nothing_up(
    world: World, intake: Intake, fields: dict[Any, Any]
) -> None:
    intake.client.xadd(BULK, fields)
    intake.client.incrby(f"{BULK}:waiting", int(fields.get("n", 0)))
    intake.add(Lane.BULK, messages(2))

    assert world.ingest() == Ingested(new=2, dead=1)

    letter = the_letter(intake)
    assert "entry" in letter["reason"]
    assert "m" not in fields or str(fields["m"])[2:10] in letter["content"].replace("\\", "")
    assert nothing_is_left(intake)


def test_bytes_that_are_no_utf8_in_a_message_bury_that_message_alone(world: World, intake: Intake) -> None:
    spoilt = json.dumps({**GOOD, "text": "caf?"}).encode().replace(b"?", b"\xe9")  # latin-1
    good = json.dumps(message(2).as_dict()).encode()
    intake.client.xadd(BULK, {"n": 2, "m": b"[" + spoilt + b"," + good + b"]"})
    intake.client.incrby(f"{BULK}:waiting", 2)

    assert world.ingest() == Ingested(new=1, dead=1)

    assert "text" in the_letter(intake)["reason"]
    assert nothing_is_left(intake)


WRONG_COUNTS = {
    "none": "",
    "a word": "two",
    "negative": "-1",
    "broken": "1.5",
    "arabic": "٣",
    "beyond 64 bits": "9" * 30,
    "five thousand digits": "9" * 5000,
}


@pytest.mark.parametrize("count", WRONG_COUNTS.values(), ids=WRONG_COUNTS.keys())
def test_a_wrong_count_of_messages_holds_nothing_up(world: World, intake: Intake, count: str) -> None:
    intake.client.xadd(BULK, {"n": count, "m": json.dumps([GOOD])})

    assert world.ingest() == Ingested(new=1)

    assert intake.client.xlen(BULK) == 0
    assert intake.client.xpending(BULK, GROUP)["pending"] == 0


def test_dead_letters_do_not_come_twice(world: World, intake: Intake) -> None:
    raw_entry(intake, 5)
    world.ingest()

    assert world.ingest() == Ingested()

    assert intake.dead_letters() == 1


# -- what the database refuses


@contextmanager
def refusing_poison(world: World) -> Iterator[None]:
    """A database with one rule more than we know of."""
    with world.runtime.ledger.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE messages ADD CONSTRAINT poison CHECK (sender <> 'Poison')")
    try:
        yield
    finally:
        with world.runtime.ledger.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE messages DROP CONSTRAINT poison")


def test_a_row_the_database_refuses_is_found_and_buried_and_the_others_go_in(
    world: World, intake: Intake
) -> None:
    offered = [message(n, sender="Poison" if n in (5, 11) else "Shop") for n in range(1, 17)]
    intake.add(Lane.BULK, offered)

    with refusing_poison(world):
        assert world.ingest() == Ingested(new=14, dead=2)

    letters = [fields for _, fields in intake.read_dead()]
    assert {json.loads(letter["content"])["client_id"] for letter in letters} == {"client-5", "client-11"}
    assert all("CheckViolation" in letter["reason"] for letter in letters)
    assert world.statuses() == {Status.QUEUED: 14}
    assert nothing_is_left(intake)


def test_halving_counts_repeats_and_conflicts_once(world: World, intake: Intake) -> None:
    poison, conflict = message(9, sender="Poison"), message(3, text="Another")
    intake.add(Lane.BULK, [*messages(4), poison, message(2), conflict, message(5)])

    with refusing_poison(world):
        assert world.ingest() == Ingested(new=5, duplicates=1, conflicts=1, dead=1)

    found = world.books()
    assert (found.total, found.duplicates, found.conflicts) == (5, 1, 1)


# -- readers that die


def test_an_entry_whose_reader_died_is_ingested_by_the_next(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))
    read_and_die(intake)
    world.passes(seconds=11)

    assert world.ingest() == Ingested(new=3)

    assert nothing_is_left(intake)


def test_an_entry_somebody_is_reading_is_left_to_them(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))
    read_and_die(intake)
    world.passes(seconds=5)

    assert world.ingest() == Ingested()

    assert intake.waiting()[Lane.BULK] == 3


def test_an_entry_that_is_in_the_ledger_already_is_absorbed(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, [*messages(3), message(1, text="Another")])
    read_and_die(intake)
    with world.runtime.ledger.begin() as connection:
        enqueue(connection, [*messages(3), message(1, text="Another")])
    world.passes(seconds=11)

    assert world.ingest() == Ingested(duplicates=3, conflicts=1)

    assert world.statuses() == {Status.QUEUED: 3}
    assert world.books().conflicts == 1  # the same conflict, recorded once
    assert nothing_is_left(intake)


def test_a_reader_that_comes_late_does_no_harm(world: World, intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))
    entries = read_and_die(intake)
    world.passes(seconds=11)
    world.ingest()

    with world.runtime.ledger.begin() as connection:  # the first reader was only slow
        assert enqueue(connection, messages(3)).new == 0
    intake.done(Lane.BULK, entries)

    assert nothing_is_left(intake)
    assert world.statuses() == {Status.QUEUED: 3}


@pytest.mark.parametrize("steps", range(5))
def test_a_process_that_dies_at_any_step_loses_nothing(world: World, intake: Intake, steps: int) -> None:
    raw_entry(intake, *(m.as_dict() for m in messages(3)), 5)
    fate = Fate(steps)

    with pytest.raises(Died):
        world.ingest(Lane.BULK, mortal(world.runtime, fate))

    committed = fate.last in ("after a commit", "before acknowledging", "after acknowledging")
    acknowledged = fate.last == "after acknowledging"
    assert world.statuses() == ({Status.QUEUED: 3} if committed else {})
    assert intake.client.xlen(BULK) == (0 if acknowledged else 1)  # never gone before it is in the book
    assert intake.dead_letters() == int(acknowledged)
    world.passes(seconds=11)
    world.ingest()
    assert world.statuses() == {Status.QUEUED: 3}
    assert intake.dead_letters() == 1
    assert nothing_is_left(intake)
