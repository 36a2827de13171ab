"""Messages handed over with `durability="fsync"`: on the disk of Redis when the call returns, or an error
that says what is the matter.

It takes a Redis that knows WAITAOF. `make test-redis8` has one; on the embedded 6.2 each of these calls is
refused, and that is what the same tests see there.
"""

import itertools
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import redis

from bulk_dispatch import Dispatcher, EnqueueError, FsyncUnconfirmedError, Lane, Message
from bulk_dispatch.client import FSYNCED_TOGETHER
from bulk_dispatch.config.server_urls import next_database
from bulk_dispatch.config.settings import FSYNC, Settings, SettingsError
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.ledger.queries import books
from bulk_dispatch.local.servers.binaries import redis_programs
from bulk_dispatch.runtime import Runtime, no_notify
from bulk_dispatch.stages.ingest import ingest
from tests.cli.conftest import Shell
from tests.conftest import Setup
from tests.factories import message, messages
from tests.faults.proxy import Proxy
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ROUTE: dict[str, object] = {"url": "https://alphasms.net"}
PROGRAM = str(redis_programs().folder / "redis-server")
VERSION = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
OLD = "v=6." in VERSION
"""Whether the Redis here is older than WAITAOF, as the embedded one is."""

NEEDS = r"^durability fsync \(WORKER_DURABILITY\) needs Redis 7\.2 or newer, or Valkey, with appendonly yes"
NO_FILE, NO_FSYNC, NO_CONFIG = (
    ("--appendonly", "no"),
    ("--appendfsync", "no"),
    ("--rename-command", "CONFIG", ""),
)


@dataclass
class Disk:
    """A Redis of the test's own, with an append-only file in a folder that outlives it."""

    folder: Path
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    opened: list[redis.Redis] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def client(self) -> redis.Redis:
        if not self.opened:
            self.opened.append(redis.Redis(unix_socket_path=str(self.socket), decode_responses=True))
        return self.opened[0]

    def start(self) -> None:
        command = [PROGRAM, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        plain = ["--appendonly", "yes", "--appendfsync", "everysec", *self.options]
        self.process = subprocess.Popen([*command, *plain], cwd=self.folder, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        """With signal 9."""
        if self.process:
            self.process.kill()
            self.process.wait()
        for client in self.opened:
            client.close()
        self.opened.clear()

    def appendfsync(self, value: str) -> None:
        """From now on; `no`: nothing is ever confirmed."""
        self.client.config_set("appendfsync", value)

    def entries(self, lane: Lane = Lane.BULK) -> list[str]:
        """What each entry of a lane holds."""
        found: Any = self.client.xrange(f"worker:intake:{lane.value}")
        return [fields["m"] for _, fields in found]

    def asked(self) -> int:
        """How often something was to be waited for. WAITAOF is asked once more to see whether it is known."""
        stats: Any = self.client.info("commandstats")
        return int(stats.get("cmdstat_waitaof", {}).get("calls", 0))

    def waits(self) -> bool:
        """Whether somebody waits for an fsync just now."""
        clients: Any = self.client.client_list()
        return any(client["cmd"] == "waitaof" and "b" in client["flags"] for client in clients)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:  # not there yet, or loading its file
            return False


@contextmanager
def running(*options: str) -> Iterator[Disk]:
    """Such a Redis, while it lasts."""
    with tempfile.TemporaryDirectory(prefix="worker-test-") as folder:
        disk = Disk(Path(folder), options)
        try:
            disk.start()
            yield disk
        finally:
            disk.kill()


@pytest.fixture
def disk() -> Iterator[Disk]:
    with running() as disk:
        yield disk


def settings_of(setup: Setup, url: str) -> Settings:
    """One route; intake and broker there."""
    return replace(setup.routes(alpha=ROUTE), redis_url=url, broker_url=next_database(url))


@pytest.fixture
def settings(setup: Setup, disk: Disk) -> Settings:
    return settings_of(setup, disk.url)


@pytest.fixture
def dispatcher(settings: Settings) -> Iterator[Dispatcher]:
    with closing(Dispatcher(settings)) as dispatcher:
        yield dispatcher


@contextmanager
def refused_if_old(disk: Disk) -> Iterator[None]:
    """What is within is so; on a Redis that is too old its first call is refused, and adds nothing."""
    if not OLD:
        yield
        return
    with pytest.raises(SettingsError, match=NEEDS) as caught:
        yield
    assert str(caught.value).endswith("; this is Redis 6.2.14 with appendonly yes and appendfsync everysec")
    assert disk.entries() == []


@dataclass
class Call:
    """A call under way in a thread."""

    thread: threading.Thread
    failed: list[Exception]

    @classmethod
    def of(cls, dispatcher: Dispatcher, offered: Message) -> "Call":
        failed: list[Exception] = []

        def call() -> None:
            try:
                dispatcher.enqueue(offered, durability=FSYNC)
            except Exception as problem:
                failed.append(problem)

        thread = threading.Thread(target=call)
        thread.start()
        return cls(thread, failed)

    def end(self) -> None:
        """Wait for it, and raise what it raised."""
        self.thread.join()
        for problem in self.failed:
            raise problem


# -- confirmed


@pytest.mark.parametrize("lane", Lane)
def test_a_call_returns_when_it_is_on_the_disk_and_not_before(
    dispatcher: Dispatcher, disk: Disk, lane: Lane
) -> None:
    with refused_if_old(disk):
        dispatcher.enqueue(message(1, lane=lane), durability=FSYNC)
        disk.appendfsync("no")
        call = Call.of(dispatcher, message(2, lane=lane))
        eventually(disk.waits)
        assert len(disk.entries(lane)) == 2
        assert call.thread.is_alive()

        disk.appendfsync("always")
        call.end()

        assert len(disk.entries(lane)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("appendfsync", ["everysec", "always"])
def test_given_redis_is_killed_as_calls_return_then_all_that_was_acknowledged_is_in_its_file(
    dispatcher: Dispatcher, disk: Disk, appendfsync: str
) -> None:
    acknowledged: list[int] = []
    numbers = itertools.count(1)

    def produce() -> None:
        with suppress(EnqueueError):
            while True:
                number = next(numbers)
                dispatcher.enqueue(message(number), durability=FSYNC)
                acknowledged.append(number)

    with refused_if_old(disk):
        dispatcher.enqueue(message(0), durability=FSYNC)
        disk.appendfsync(appendfsync)
        producers = [threading.Thread(target=produce) for _ in range(40)]
        for producer in producers:
            producer.start()
        eventually(lambda: len(acknowledged) > 100)

        disk.kill()
        told = list(acknowledged)
        for producer in producers:
            producer.join()
        disk.start()

        there = {raw["client_id"] for entry in disk.entries() for raw in json.loads(entry)}
        assert {message(number).client_id for number in told} <= there


def test_many_messages_wait_for_one_fsync_together(dispatcher: Dispatcher, disk: Disk) -> None:
    count = FSYNCED_TOGETHER * CHUNK
    told: list[int] = []

    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        disk.appendfsync("always")
        before = disk.asked()

        handed = dispatcher.enqueue_many(messages(2 * count + 3), told.append, durability=FSYNC)

        assert disk.asked() - before == 3
        assert (handed, told) == (2 * count + 3, [count, 2 * count, 2 * count + 3])
        assert len(disk.entries()) == 1 + 2 * FSYNCED_TOGETHER + 1


def test_many_messages_of_both_lanes_each_go_to_their_own(dispatcher: Dispatcher, disk: Disk) -> None:
    mixed = [message(number, lane=list(Lane)[number % 2]) for number in range(2 * CHUNK)]

    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        disk.appendfsync("always")

        assert dispatcher.enqueue_many(mixed, durability=FSYNC) == 2 * CHUNK

        for lane in Lane:
            found = [raw["client_id"] for entry in disk.entries(lane)[-2:] for raw in json.loads(entry)]
            assert found == [one.client_id for one in mixed if one.lane is lane]


def test_messages_before_one_at_fault_are_on_the_disk(dispatcher: Dispatcher, disk: Disk) -> None:
    def stream() -> Iterator[Message]:
        yield from messages(3)
        raise LookupError("the file ends here")

    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        before = disk.asked()

        with pytest.raises(LookupError, match="ends here"):
            dispatcher.enqueue_many(stream(), durability=FSYNC)

        assert (len(disk.entries()), disk.asked() - before) == (2, 1)


def test_the_settings_ask_for_every_call_and_a_call_may_ask_for_less(settings: Settings, disk: Disk) -> None:
    with refused_if_old(disk), closing(Dispatcher(replace(settings, durability=FSYNC))) as dispatcher:
        assert disk.asked() == 1
        dispatcher.enqueue(message(1))
        before = disk.asked()
        dispatcher.enqueue(message(2), durability="redis")
        assert disk.asked() == before
        dispatcher.enqueue(message(3))
        assert disk.asked() == before + 1


def test_nobody_waits_who_has_not_asked(dispatcher: Dispatcher, disk: Disk) -> None:
    dispatcher.enqueue(message(1))
    dispatcher.enqueue_many(messages(2))

    assert (len(disk.entries()), disk.asked()) == (2, 0)


# -- not confirmed


@pytest.mark.slow
def test_given_no_fsync_in_time_then_the_error_says_so_and_the_call_repeated_is_one_message(
    settings: Settings, dispatcher: Dispatcher, disk: Disk
) -> None:
    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        disk.appendfsync("no")

        with pytest.raises(FsyncUnconfirmedError) as caught:
            dispatcher.enqueue(message(2), durability=FSYNC)
        assert str(caught.value) == (
            "1 messages are in Redis, but perhaps not on its disk: Redis has confirmed no fsync within "
            "2.5 s; the same call may safely be repeated under the same client ids"
        )
        disk.appendfsync("always")
        dispatcher.enqueue(message(2), durability=FSYNC)

        assert len(disk.entries()) == 3
        with closing(Runtime.open(settings, notify=no_notify)) as runtime:
            list(ingest(runtime, Lane.BULK))
            with runtime.ledger.begin() as connection:
                counted = books(connection)
        assert (counted.total, counted.duplicates, counted.balanced) == (2, 1, True)


@pytest.mark.slow
def test_given_a_message_is_refused_then_it_is_not_said_to_be_in_redis(
    dispatcher: Dispatcher, disk: Disk
) -> None:
    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        disk.appendfsync("no")
        dispatcher.enqueue(message(2), durability="redis")  # for its fsync the same connection would wait
        disk.client.set("worker:intake:urgent:waiting", 200_000)

        with pytest.raises(EnqueueError, match=r"^1 messages not handed over: 200000 urgent messages wait"):
            dispatcher.enqueue(message(3, lane=Lane.URGENT), durability=FSYNC)

        assert disk.entries(Lane.URGENT) == []


def test_given_the_file_is_switched_off_meanwhile_then_it_is_unconfirmed(
    dispatcher: Dispatcher, disk: Disk
) -> None:
    with refused_if_old(disk):
        dispatcher.enqueue(message(1), durability=FSYNC)
        disk.client.config_set("appendonly", "no")

        with pytest.raises(FsyncUnconfirmedError, match="WAITAOF cannot be used when"):
            dispatcher.enqueue(message(2), durability=FSYNC)

        assert len(disk.entries()) == 2


def test_given_the_answer_is_lost_then_the_repeat_waits_too_although_its_connection_wrote_nothing_before(
    settings: Settings, disk: Disk
) -> None:
    with (
        Proxy(disk.socket) as proxy,
        closing(Dispatcher(replace(settings, redis_url=f"redis://127.0.0.1:{proxy.port}/0"))) as dispatcher,
        refused_if_old(disk),
    ):
        dispatcher.enqueue(message(1, lane=Lane.URGENT), durability=FSYNC)
        disk.appendfsync("no")
        before = proxy.counts.accepted

        cut = proxy.cut_after(0, "down")
        call = Call.of(dispatcher, message(2, lane=Lane.URGENT))
        assert cut.wait(10)
        eventually(lambda: proxy.counts.accepted > before and (disk.waits() or not call.thread.is_alive()))
        assert call.thread.is_alive()

        disk.appendfsync("always")
        call.end()
        assert len(disk.entries(Lane.URGENT)) == 2


@pytest.mark.parametrize("lane", Lane)
def test_given_scripts_are_forgotten_then_they_are_loaded_and_it_is_there_once(
    dispatcher: Dispatcher, disk: Disk, lane: Lane
) -> None:
    with refused_if_old(disk):
        dispatcher.enqueue(message(1, lane=lane), durability=FSYNC)
        disk.appendfsync("always")
        disk.client.script_flush()

        dispatcher.enqueue(message(2, lane=lane), durability=FSYNC)

        assert len(disk.entries(lane)) == 2


# -- refused

UNFIT = [
    pytest.param(NO_FILE, "with appendonly no and appendfsync everysec", id="no file"),
    pytest.param(NO_FSYNC, "with appendonly yes and appendfsync no", id="never fsynced"),
    pytest.param((*NO_FILE, *NO_CONFIG), "with appendonly no", id="no file, and no CONFIG"),
]


@pytest.mark.parametrize(("options", "found"), UNFIT)
def test_a_redis_that_cannot_confirm_is_named_with_what_is_needed_and_nothing_is_enqueued(
    setup: Setup, options: tuple[str, ...], found: str
) -> None:
    with running(*options) as disk, closing(Dispatcher(settings_of(setup, disk.url))) as dispatcher:
        version = str(disk.client.info("server")["redis_version"])

        for call in (
            lambda: dispatcher.enqueue(message(1), durability=FSYNC),
            lambda: dispatcher.enqueue_many(messages(3), durability=FSYNC),
            lambda: Dispatcher(replace(settings_of(setup, disk.url), durability=FSYNC)),
        ):
            with pytest.raises(SettingsError, match=NEEDS) as caught:
                call()
            assert str(caught.value).endswith(f"; this is Redis {version} {found}")

        assert disk.entries() == []
        dispatcher.enqueue(message(1))
        assert len(disk.entries()) == 1


def test_an_account_without_the_right_to_ask_is_named_at_once(settings: Settings, disk: Disk) -> None:
    if not OLD:
        disk.client.execute_command("ACL", "SETUSER", "default", "-waitaof")  # type: ignore[no-untyped-call]

    with pytest.raises(SettingsError, match=NEEDS if OLD else r"fsync \(WORKER_DURABILITY\) needs the right"):
        Dispatcher(replace(settings, durability=FSYNC))


@pytest.mark.slow
def test_given_redis_is_away_then_a_dispatcher_opens_and_its_calls_say_so(setup: Setup) -> None:
    away = replace(settings_of(setup, "redis://127.0.0.1:1/0"), durability=FSYNC)

    with closing(Dispatcher(away)) as dispatcher, pytest.raises(EnqueueError, match="cannot be reached"):
        dispatcher.enqueue(message(1))


@pytest.mark.parametrize("asked", ["Fsync", "memory", ""])
def test_a_durability_that_is_none_is_refused(dispatcher: Dispatcher, disk: Disk, asked: str) -> None:
    for call in (
        lambda: dispatcher.enqueue(message(1), durability=asked),
        lambda: dispatcher.enqueue_many(messages(2), durability=asked),
        lambda: Dispatcher.from_env(durability=asked),
    ):
        with pytest.raises(SettingsError, match="durability must be one of redis, fsync, got"):
            call()

    assert disk.entries() == []


def test_the_callers_transaction_is_as_durable_as_its_commit(dispatcher: Dispatcher, setup: Setup) -> None:
    runtime = setup.runtime(alpha=ROUTE)
    with runtime.ledger.begin() as connection:
        with pytest.raises(ValueError, match="durability is not for connection="):
            dispatcher.enqueue(message(1), connection=connection, durability=FSYNC)

        assert books(connection).total == 0


@pytest.mark.parametrize(
    ("words", "env"),
    [(["--durability", "fsync"], {}), ([], {"WORKER_DURABILITY": "fsync"})],
    ids=["option", "variable"],
)
def test_the_command_line_says_the_same(
    setup: Setup, tmp_path: Path, words: list[str], env: dict[str, str]
) -> None:
    with running(*NO_FSYNC) as disk:
        shell = Shell.at(settings_of(setup, disk.url), tmp_path)

        ran = shell.worker("send", "--to", "+380931110001", "--sender", "Shop", "--text", "Hi", *words, **env)

        assert (ran.code, disk.entries()) == (1, [])
        assert "durability fsync (WORKER_DURABILITY) needs Redis 7.2 or newer" in ran.err
