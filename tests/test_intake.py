"""Intake: what was added is read until it is done, whoever dies in between."""

import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.intake import CONSUMER, DEAD, GROUP, DeadLetter, Entry, Intake, IntakeError, Parcel
from bulk_dispatch.intake.scripts import CROWDED
from bulk_dispatch.local.locks import FileLock, opened
from bulk_dispatch.local.servers import server
from bulk_dispatch.local.servers.paths import data_directory, settle
from bulk_dispatch.local.servers.redis import Redis
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.wait import wait_until
from tests.factories import message, messages
from tests.odd_redis import odd_redis

PATIENCE = timedelta(seconds=20)
NEVER = timedelta(hours=1)  # nothing has been idle for so long
AT_ONCE = timedelta(0)  # everything has
BULK = "worker:intake:bulk"
WAITING = "worker:intake:bulk:waiting"


def eventually(happened: Callable[[], bool]) -> None:
    assert wait_until(happened, PATIENCE)


def read(intake: Intake, lane: Lane = Lane.BULK, entries: int = 100, idle: timedelta = NEVER) -> list[Entry]:
    return intake.read(lane, entries, idle)


def carried(entries: list[Entry]) -> list[Message]:
    """The messages in entries, in order."""
    return [Message.from_dict(raw) for entry in entries for raw in entry.messages]  # type: ignore[arg-type]


# -- add, read, done -------------------------------------------------------------------------------------


def test_what_is_added_is_read_whole_and_gone_when_done(intake: Intake) -> None:
    whole = message(1, text="Ще “лапки”, 👍\n", lane=Lane.URGENT, campaign="spring")

    receipt = intake.add(Lane.BULK, [whole, message(2)])
    [entry] = read(intake)

    assert (entry.id, entry.lane, entry.counted, entry.unreadable) == (receipt, Lane.BULK, 2, "")
    assert carried([entry]) == [whole, message(2)]
    intake.done(Lane.BULK, [entry])
    assert read(intake, idle=AT_ONCE) == []
    assert intake.client.xlen(BULK) == 0
    assert intake.client.xpending(BULK, GROUP)["pending"] == 0
    assert intake.waiting() == {Lane.URGENT: 0, Lane.BULK: 0}


def test_many_messages_travel_in_one_entry(intake: Intake) -> None:
    intake.add(Lane.BULK, messages(500))

    [entry] = read(intake)

    assert carried([entry]) == messages(500)
    assert intake.waiting()[Lane.BULK] == 500


def test_entries_are_read_in_the_order_they_were_added_and_no_more_than_asked_for(intake: Intake) -> None:
    for number in range(1, 6):
        intake.add(Lane.BULK, [message(number)])

    assert carried(read(intake, entries=2)) == messages(5)[:2]
    assert carried(read(intake, entries=2)) == messages(5)[2:4]
    assert carried(read(intake, entries=2)) == messages(5)[4:]
    assert read(intake, entries=2) == []


def test_the_lanes_do_not_mix(intake: Intake) -> None:
    intake.add(Lane.URGENT, [message(1)])
    intake.add(Lane.BULK, [message(2), message(3)])

    assert intake.waiting() == {Lane.URGENT: 1, Lane.BULK: 2}
    assert carried(read(intake, Lane.URGENT)) == [message(1)]
    assert carried(read(intake, Lane.BULK)) == [message(2), message(3)]


def test_entries_added_before_anybody_read_are_read(intake: Intake) -> None:
    """The group begins at 0, not at now."""
    intake.add(Lane.BULK, [message(1)])
    intake.add(Lane.BULK, [message(2)])
    assert intake.client.exists(BULK)
    assert intake.client.xinfo_groups(BULK) == []

    assert carried(read(intake)) == messages(2)


def test_an_empty_intake_has_nothing_to_read(intake: Intake) -> None:
    assert read(intake) == []
    assert intake.waiting() == {Lane.URGENT: 0, Lane.BULK: 0}
    assert (intake.dead_letters(), intake.read_dead()) == (0, [])
    intake.done(Lane.BULK, [])


def test_two_readers_never_get_the_same_new_entry(intake: Intake, servers: Any) -> None:
    for number in range(60):
        intake.add(Lane.BULK, [message(number)])
    other, found = Intake.connect(servers.redis_url), list[Entry]()

    def drain(mine: Intake) -> None:
        while entries := read(mine, entries=3):
            found.extend(entries)

    threads = [threading.Thread(target=drain, args=(mine,)) for mine in (intake, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()

    assert len(found) == len({entry.id for entry in found}) == 60


# -- read, and not finished ------------------------------------------------------------------------------


def test_an_entry_whose_reader_died_is_read_again_after_the_idle_time_and_not_before(
    intake: Intake,
) -> None:
    intake.add(Lane.BULK, messages(3))
    [first] = read(intake)
    idle = timedelta(milliseconds=300)
    began = intake.client.time()

    while not (again := read(intake, idle=idle)):
        assert intake.client.time()[0] - began[0] < PATIENCE.total_seconds()

    ended = intake.client.time()
    waited = timedelta(seconds=ended[0] - began[0], microseconds=ended[1] - began[1])
    assert again == [first]
    assert carried(again) == messages(3)
    assert waited >= idle * 0.9
    assert read(intake, idle=idle) == []  # it is the new reader's now
    assert intake.waiting()[Lane.BULK] == 3


def test_forgotten_entries_come_before_new_ones(intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1)])
    intake.add(Lane.BULK, [message(2)])
    read(intake)
    intake.add(Lane.BULK, [message(3)])

    assert carried(read(intake, entries=1, idle=AT_ONCE)) == [message(1), message(3)]
    assert carried(read(intake, entries=3, idle=AT_ONCE)) == messages(3)


def test_of_large_entries_few_are_read_at_once_and_of_small_ones_many(intake: Intake) -> None:
    for start in range(0, 600, 100):
        intake.add(Lane.BULK, messages(600, text="я" * 100)[start : start + 100])  # two octets each
    for each in messages(300):
        intake.add(Lane.BULK, [each])

    large = intake.read(Lane.BULK, 200, NEVER, octets=50_000)
    rest = intake.read(Lane.BULK, 200, NEVER, octets=1_000_000)

    assert [entry.counted for entry in large] == [100, 100]
    assert 50_000 < sum(entry.octets for entry in large) < 75_000
    assert [entry.counted for entry in rest] == [100] * 4 + [1] * 196


def test_large_entries_behind_small_ones_are_not_read_all_at_once(intake: Intake) -> None:
    for each in messages(128):
        intake.add(Lane.BULK, [each])
    for _ in range(100):
        intake.add(Lane.BULK, messages(200))

    found = intake.read(Lane.BULK, 500, NEVER, octets=100_000)

    assert [entry.counted for entry in found[:128]] == [1] * 128
    assert 100_000 <= sum(entry.octets for entry in found) < 600_000  # sixteen of them have half a million


@pytest.mark.parametrize("gone", [False, True], ids=["in work", "vanished"])
def test_forgotten_entries_are_found_behind_others(intake: Intake, gone: bool) -> None:
    """Behind many that somebody is at work on, or that nobody can have any more."""
    for each in messages(60):
        intake.add(Lane.BULK, [each])
    *others, last = read(intake)
    if gone:
        intake.client.xdel(BULK, *(entry.id for entry in others))
    for entry in others:
        intake.client.xclaim(BULK, GROUP, CONSUMER, 0, [entry.id], idle=3_600_000 if gone else 0)
    intake.client.xclaim(BULK, GROUP, CONSUMER, 0, [last.id], idle=3_600_000)

    found = intake.read(Lane.BULK, 10, timedelta(minutes=30))

    assert [entry.id for entry in found] == [last.id]


def test_as_many_new_ones_are_read_as_forgotten_ones(intake: Intake) -> None:
    for each in messages(3):
        intake.add(Lane.BULK, [each])
    read(intake)
    for each in messages(6)[3:]:
        intake.add(Lane.BULK, [each])

    found = carried(read(intake, entries=2, idle=AT_ONCE))

    assert found == [*messages(2), *messages(5)[3:]]


def test_readers_are_made_anew_if_somebody_took_them_away(intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1)])
    read(intake)
    intake.client.xgroup_destroy(BULK, GROUP)

    assert carried(read(intake)) == [message(1)]


def test_an_entry_is_read_and_deleted_though_redis_has_forgotten_the_scripts(intake: Intake) -> None:
    intake.add(Lane.BULK, messages(3))
    intake.client.script_flush()
    entries = read(intake)
    intake.client.script_flush()

    intake.done(Lane.BULK, entries)

    assert (intake.client.xlen(BULK), intake.waiting()[Lane.BULK]) == (0, 0)


def test_an_entry_that_is_done_is_not_read_again(intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1)])
    intake.add(Lane.BULK, [message(2)])
    one, _ = read(intake)

    intake.done(Lane.BULK, [one])

    assert carried(read(intake, idle=AT_ONCE)) == [message(2)]


def test_an_entry_that_vanished_from_the_stream_does_not_come_back_empty(intake: Intake) -> None:
    intake.add(Lane.BULK, [message(1)])
    [gone] = read(intake)
    intake.client.xdel(BULK, gone.id)
    intake.add(Lane.BULK, [message(2)])

    assert carried(read(intake, idle=AT_ONCE)) == [message(2)]


def test_an_entry_that_two_processes_finished_is_counted_once(intake: Intake) -> None:
    for number in range(1, 4):
        intake.add(Lane.BULK, messages(10 * number))
    mine = read(intake)
    theirs = read(intake, idle=AT_ONCE)
    assert theirs == mine

    intake.done(Lane.BULK, mine[:2])
    intake.done(Lane.BULK, theirs)
    intake.done(Lane.BULK, mine)

    assert intake.waiting()[Lane.BULK] == 0
    assert intake.client.xlen(BULK) == 0


def test_two_finishing_the_same_entries_at_once_count_each_once(intake: Intake, servers: Any) -> None:
    for number in range(50):
        intake.add(Lane.BULK, messages(number + 1))
    intake.add(Lane.BULK, messages(7))
    other = Intake.connect(servers.redis_url)
    entries = read(intake, entries=50)

    def finish(mine: Intake, order: list[Entry]) -> None:
        for entry in order:
            mine.done(Lane.BULK, [entry])

    threads = [
        threading.Thread(target=finish, args=(intake, entries)),
        threading.Thread(target=finish, args=(other, entries[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()

    assert intake.waiting()[Lane.BULK] == 7


# -- dead letters ----------------------------------------------------------------------------------------


def test_what_cannot_be_entered_is_kept_with_its_reason(intake: Intake) -> None:
    intake.bury(DeadLetter.about(Lane.URGENT, "recipient: must not be empty", {"text": "Ще 👍"}))

    assert intake.dead_letters() == 1
    [(letter_id, fields)] = intake.read_dead()
    assert letter_id.endswith("-0")
    assert (fields["lane"], fields["reason"]) == ("urgent", "recipient: must not be empty")
    assert json.loads(fields["content"]) == {"text": "Ще 👍"}


def test_done_buries_and_deletes_in_one_step(intake: Intake) -> None:
    intake.add(Lane.BULK, messages(2))
    [entry] = read(intake)
    letters = [DeadLetter.about(Lane.BULK, f"reason {number}", number) for number in range(3)]

    intake.done(Lane.BULK, [entry], letters)

    assert [fields["reason"] for _, fields in intake.read_dead()] == ["reason 0", "reason 1", "reason 2"]
    assert (intake.dead_letters(), intake.waiting()[Lane.BULK]) == (3, 0)
    assert read(intake, idle=AT_ONCE) == []


def test_dead_letters_are_read_oldest_first_and_bounded(intake: Intake) -> None:
    for number in range(5):
        intake.bury(DeadLetter.about(Lane.BULK, "reason", number))

    assert [fields["content"] for _, fields in intake.read_dead(2)] == ["0", "1"]


@pytest.mark.parametrize(
    "content",
    ["\ud800", {"text": "\0"}, [1, None], object(), b"\xff"],
    ids=["a lone surrogate", "a NUL", "a list", "no JSON value", "bytes"],
)
def test_anything_can_be_buried(intake: Intake, content: object) -> None:
    intake.bury(DeadLetter.about(Lane.BULK, "reason", content))

    [(_, fields)] = intake.read_dead()
    json.loads(fields["content"])


def test_a_dead_letter_shows_no_content_in_logs() -> None:
    assert "secret" not in repr(DeadLetter.about(Lane.BULK, "reason", "secret"))
    assert "secret" not in repr(Entry("1-0", Lane.BULK, 1, ["secret"], "secret"))


# -- entries that somebody else wrote --------------------------------------------------------------------

NOT_JSON, NOT_AN_ARRAY = "the entry is not JSON", "the entry is not a JSON array of messages"

STRANGE: list[tuple[str, dict[Any, Any], str]] = [
    ("not JSON", {"n": "1", "m": "hello"}, NOT_JSON),
    ("cut off", {"n": "1", "m": '[{"client_id": "a"'}, NOT_JSON),
    ("empty", {"n": "1", "m": ""}, NOT_JSON),
    ("foreign fields", {"message": "hello"}, NOT_JSON),
    ("not UTF-8", {"n": "1", "m": b"[\xff\xfe]"}, NOT_JSON),
    ("nested too deep", {"n": "1", "m": "[" * 100_000 + "]" * 100_000}, NOT_JSON),
    ("a number too long", {"n": "1", "m": f"[{'9' * 10_000}]"}, NOT_JSON),
    ("an object", {"n": "1", "m": '{"client_id": "a"}'}, NOT_AN_ARRAY),
    ("a string", {"n": "1", "m": '"hello"'}, NOT_AN_ARRAY),
    ("null", {"n": "1", "m": "null"}, NOT_AN_ARRAY),
]


@pytest.mark.parametrize(("fields", "reason"), [pytest.param(*row[1:], id=row[0]) for row in STRANGE])
def test_an_entry_that_cannot_be_read_says_why_and_does_not_stop_the_others(
    intake: Intake, fields: dict[Any, Any], reason: str
) -> None:
    intake.client.xadd(BULK, fields)
    intake.add(Lane.BULK, messages(2))

    strange, good = read(intake)

    assert strange.unreadable == reason
    assert strange.messages == ()
    assert json.loads(strange.raw).keys() == {str(name) for name in fields}
    assert carried([good]) == messages(2)


def test_bytes_that_are_no_text_spoil_their_own_message_only(intake: Intake) -> None:
    good = json.dumps(message(1).as_dict()).encode()
    intake.client.xadd(BULK, {"n": "2", "m": b"[" + good.replace(b"ready", b"\xff\xfe") + b"," + good + b"]"})

    [entry] = read(intake)

    spoilt, whole = entry.messages
    assert Message.from_dict(whole) == message(1)  # type: ignore[arg-type]
    with pytest.raises(MessageError, match="text: must hold no control characters"):
        Message.from_dict(spoilt)  # type: ignore[arg-type]
    intake.done(Lane.BULK, [entry], [DeadLetter.about(Lane.BULK, "reason", spoilt)])


def test_what_is_nested_nearly_too_deep_to_be_read_can_be_buried(intake: Intake) -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        intake.client.xadd(BULK, {"n": "1", "m": "[" * depth + "]" * depth})
    entries = read(intake, entries=500)

    letters = [DeadLetter.about(Lane.BULK, "reason", entry.messages or entry.raw) for entry in entries]

    intake.done(Lane.BULK, entries, letters)
    assert intake.dead_letters() == 200


def test_field_names_that_are_no_text_are_unreadable(intake: Intake) -> None:
    intake.client.xadd(BULK, {b"\xff": b"\xff"})

    [entry] = read(intake)

    assert entry.unreadable == NOT_JSON


@pytest.mark.parametrize("count", [None, "", "-5", "many", "1.5", "²", "7" * 30, "9" * 5000])
def test_an_entry_with_a_count_of_its_own_does_not_spoil_the_count(intake: Intake, count: str | None) -> None:
    """Whoever writes into the stream himself does not keep the counter beside it."""
    body = json.dumps([message(9).as_dict()])
    intake.client.xadd(BULK, {"m": body} if count is None else {"n": count, "m": body})
    intake.add(Lane.BULK, messages(3))
    entries = read(intake)
    assert carried(entries) == [message(9), *messages(3)]

    intake.done(Lane.BULK, entries)

    assert intake.waiting()[Lane.BULK] == 0
    intake.add(Lane.BULK, messages(2))
    assert intake.waiting()[Lane.BULK] == 2


def test_the_count_recovers_from_an_entry_that_was_not_counted_in(intake: Intake) -> None:
    intake.client.xadd(BULK, {"n": "40", "m": json.dumps([message(9).as_dict()])})
    intake.add(Lane.BULK, messages(3))

    for entry in read(intake):
        intake.done(Lane.BULK, [entry])
        assert intake.waiting()[Lane.BULK] >= 0

    assert intake.waiting()[Lane.BULK] == 0


# -- wake-up -------------------------------------------------------------------------------------------


def test_a_wakeup_is_claimed_once_until_it_is_acknowledged(intake: Intake) -> None:
    assert intake.claim_wakeup("ingest:bulk", NEVER)
    assert not intake.claim_wakeup("ingest:bulk", NEVER)
    assert intake.claim_wakeup("ingest:urgent", NEVER)

    intake.acknowledge("ingest:bulk")

    assert intake.claim_wakeup("ingest:bulk", NEVER)


def test_a_wakeup_nobody_acknowledges_is_claimed_again(intake: Intake) -> None:
    assert intake.claim_wakeup("ingest:bulk", timedelta(milliseconds=50))

    eventually(lambda: intake.claim_wakeup("ingest:bulk", NEVER))


# -- Redis away, restarted, killed -----------------------------------------------------------------------


@dataclass
class OwnRedis:
    """A Redis of this test's own, to be stopped and killed."""

    server: Redis
    guard: FileLock

    def start(self) -> None:
        server.ensure(self.server, self.guard.fd, lambda _: None)

    def stop(self) -> None:
        server.stop(self.server)

    def kill(self) -> None:
        server.kill(self.server)


@pytest.fixture
def own(folder: Path) -> Iterator[OwnRedis]:
    """As `worker up` would start it: everything survives kill -9, nearly everything a power cut."""
    place = settle(data_directory(folder / "data"))
    with opened(place.data_dir / "starting.lock") as guard:
        redis = OwnRedis(Redis(place, Durability.POWER_CUT, lambda _: None), guard)
        redis.start()
        yield redis
        redis.kill()


@pytest.fixture
def at_own(own: OwnRedis) -> Iterator[Intake]:
    with ExitStack() as stack:
        intake = Intake.connect(own.server.intake_url)
        stack.callback(intake.close)
        yield intake


@pytest.mark.slow
def test_a_redis_that_is_not_there_is_one_sentence_without_a_credential() -> None:
    intake = Intake.connect("redis://anna:s3cret@127.0.0.1:1/0")

    with pytest.raises(IntakeError, match=r"^Redis cannot be reached: .") as caught:
        intake.add(Lane.BULK, messages(1))

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    intake.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense s3cret", "http://anna:s3cret@host/0", "redis://:s3cret@host:port/0"]
)
def test_an_address_that_is_none_is_one_sentence_without_a_credential(url: str) -> None:
    with pytest.raises(IntakeError) as caught:
        Intake.connect(url)

    assert "s3cret" not in str(caught.value)


@pytest.mark.slow
def test_a_redis_that_asks_for_a_password_is_one_sentence(own: OwnRedis, at_own: Intake) -> None:
    at_own.client.config_set("requirepass", "s3cret")
    stranger = Intake.connect(own.server.intake_url)

    with pytest.raises(IntakeError, match="Redis"):
        stranger.waiting()

    stranger.close()


def test_producers_are_stopped_while_there_is_room_for_those_who_empty_it(at_own: Intake) -> None:
    at_own.add(Lane.BULK, messages(100))
    at_own.client.set("ballast", "x" * 20_000_000)  # so that 5 % are more than a connection or two take
    eventually(lambda: int(at_own.client.info("memory")["mem_aof_buffer"]) < 100_000)  # it is written
    used = int(at_own.client.info("memory")["used_memory"])
    at_own.client.config_set("maxmemory", str(used + used // 20))  # 5 % are left
    another = Intake(at_own.client)

    with pytest.raises(IntakeError, match="more than 90% full"):
        another.add(Lane.BULK, messages(1))

    [entry] = read(at_own)
    at_own.done(Lane.BULK, [entry])
    assert at_own.waiting()[Lane.BULK] == 0
    at_own.client.config_set("maxmemory", "0")
    another.add(Lane.BULK, messages(1))


def test_where_nobody_may_ask_how_full_redis_is_that_is_not_known_and_producers_go_on() -> None:
    with odd_redis("--rename-command", "INFO", "") as url, closing(Intake.connect(url)) as dumb:
        assert dumb.fullness() is None
        dumb.add(Lane.BULK, messages(1))


def test_a_full_redis_takes_all_that_serves_to_empty_it_and_what_is_urgent(at_own: Intake) -> None:
    at_own.add(Lane.BULK, messages(100))
    [entry] = read(at_own)
    at_own.client.config_set("maxmemory", "1")
    dead = DeadLetter.about(Lane.BULK, "reason", "what")

    at_own.add(Lane.URGENT, messages(2))
    at_own.take_in([Parcel.of(Lane.BULK, messages(3))], ())
    at_own.bury(dead)
    at_own.done(Lane.BULK, [entry], [dead], {"beta": [{"route": "beta"}]})
    at_own.write_heartbeat("bulk@here", {"queues": ["bulk"], "busy": 0, "hands": 1, "trouble": ""})

    assert at_own.claim_wakeup("ingest:bulk", NEVER)
    assert not at_own.claim_wakeup("ingest:bulk", NEVER)
    assert at_own.waiting() == {Lane.URGENT: 2, Lane.BULK: 3}
    assert (at_own.dead_letters(), at_own.set_aside()) == (2, 1)
    assert list(at_own.heartbeats()[1]) == ["bulk@here"]
    with pytest.raises(IntakeError, match="memory"):
        at_own.add(Lane.BULK, messages(1))
    at_own.client.config_set("maxmemory", "0")


def test_what_comes_over_the_limit_of_memory_is_bounded_all_the_same(intake: Intake) -> None:
    intake.client.set("worker:intake:urgent:waiting", CROWDED)

    with pytest.raises(IntakeError, match="200000 urgent messages wait"):
        intake.add(Lane.URGENT, messages(1))


def test_what_comes_by_the_broker_is_taken_in_and_buried_whole_or_not_at_all(intake: Intake) -> None:
    intake.client.set("worker:intake:urgent:waiting", CROWDED)
    parcels = [Parcel.of(lane, messages(2)) for lane in (Lane.BULK, Lane.URGENT)]
    dead = [DeadLetter.about(Lane.BULK, "reason", number) for number in range(3)]

    with pytest.raises(IntakeError, match="200000 bulk or urgent messages wait"):
        intake.take_in(parcels, dead)
    assert (intake.waiting()[Lane.BULK], intake.dead_letters()) == (0, 0)

    intake.client.set("worker:intake:urgent:waiting", 0)
    intake.take_in(parcels, dead)
    assert intake.waiting() == {Lane.BULK: 2, Lane.URGENT: 2}
    assert [letter["content"] for _, letter in intake.read_dead()] == ["0", "1", "2"]


def test_a_full_redis_refuses_new_messages_in_one_sentence_and_forgets_none(at_own: Intake) -> None:
    at_own.add(Lane.BULK, messages(100))
    at_own.client.config_set("maxmemory", "1")

    with pytest.raises(IntakeError, match=r"^Redis refuses: .*memory") as caught:
        at_own.add(Lane.BULK, messages(1))

    assert "\n" not in str(caught.value)
    assert "XADD" not in "".join(traceback.format_exception(caught.value))  # it would hold a number
    assert at_own.waiting()[Lane.BULK] == 100
    at_own.client.config_set("maxmemory", "0")
    assert carried(read(at_own)) == messages(100)


def test_a_redis_that_may_not_write_says_so_in_one_sentence(at_own: Intake) -> None:
    """As a replica after a failover, or with the disk full."""
    at_own.client.replicaof("127.0.0.1", "1")

    with pytest.raises(IntakeError, match=r"^Redis refuses: You can't write against a read only replica"):
        at_own.add(Lane.BULK, messages(1))


def test_entries_are_still_there_after_a_restart(own: OwnRedis, at_own: Intake) -> None:
    for number in range(1, 4):
        at_own.add(Lane.BULK, [message(number)])
    [first] = read(at_own, entries=1)
    at_own.bury(DeadLetter.about(Lane.BULK, "reason", 1))

    own.stop()
    own.start()

    assert at_own.waiting()[Lane.BULK] == 3
    assert at_own.dead_letters() == 1
    assert carried(read(at_own)) == [message(2), message(3)]
    at_own.done(Lane.BULK, [first])  # its reader lived through it
    assert at_own.waiting()[Lane.BULK] == 2


@pytest.mark.slow
def test_an_add_rides_over_a_restart(own: OwnRedis, at_own: Intake) -> None:
    at_own.add(Lane.BULK, [message(1)])
    own.stop()
    starting = threading.Timer(0.3, own.start)
    starting.start()

    at_own.add(Lane.BULK, [message(2)])

    starting.join()
    assert carried(read(at_own)) == messages(2)


def test_what_was_added_right_before_kill_9_is_there_after_it(own: OwnRedis, at_own: Intake) -> None:
    for number in range(1, 21):
        at_own.add(Lane.BULK, [message(number)])
    own.kill()
    own.start()

    assert carried(read(at_own)) == messages(20)
    assert at_own.waiting()[Lane.BULK] == 20

    at_own.done(Lane.BULK, read(at_own, entries=5, idle=AT_ONCE))
    own.kill()
    own.start()

    assert carried(read(at_own, idle=AT_ONCE)) == messages(20)[5:]
    assert at_own.waiting()[Lane.BULK] == 15


def test_the_doctor_sees_how_redis_is_set(intake: Intake) -> None:
    server = intake.server()

    assert (server.maxmemory_policy, server.appendonly) == ("noeviction", "yes")
    assert server.identity == intake.client.info("server")["run_id"]
    assert server.fullness == intake.fullness() == 0  # without a limit


def test_the_streams_are_where_the_documentation_says(intake: Intake) -> None:
    intake.add(Lane.URGENT, [message(1)])
    intake.bury(DeadLetter.about(Lane.BULK, "reason", 1))
    intake.claim_wakeup("ingest:urgent", NEVER)

    keys = {str(key) for key in intake.client.scan_iter()}
    [token] = {key for key in keys if key.startswith("worker:intake:token:")}
    assert 0 < intake.client.pttl(token) <= 120_000
    assert keys - {token} == {
        "worker:intake:urgent",
        "worker:intake:urgent:waiting",
        DEAD,
        "worker:wakeup:ingest:urgent",
    }
