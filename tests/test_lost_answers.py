"""A command of ours whose answer was lost: it was carried out, and nobody knows. Its work is there once."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from bulk_dispatch.client import Dispatcher
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import CONNECTIONS, TRIES, DeadLetter, Intake, IntakeError, Parcel, Unrouted
from tests.conftest import Setup
from tests.factories import message, messages
from tests.faults.proxy import Proxy
from tests.waiting import eventually

NEVER = timedelta(hours=1)
LETTER = DeadLetter.about(Lane.BULK, "reason", 1)
ELSEWHERE = Unrouted(Lane.BULK, "elsewhere")


@pytest.fixture
def far(proxy: Proxy) -> Iterator[Intake]:
    """An intake by way of that network. It has asked for room just now, and Redis knows its scripts."""
    intake = Intake.connect(f"redis://127.0.0.1:{proxy.port}/0")
    intake.add(Lane.BULK, [message(1)])
    intake.done(Lane.BULK, intake.read(Lane.BULK, 10, NEVER))
    yield intake
    intake.close()


@contextmanager
def answer_lost(proxy: Proxy) -> Iterator[None]:
    """Of the next command: the connection is cut when its answer comes."""
    cut = proxy.cut_after(0, "down")
    yield
    assert cut.wait(10)


def test_given_the_answer_to_an_add_is_lost_then_the_entry_is_there_once(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    with answer_lost(proxy):
        receipt = far.add(Lane.BULK, messages(3))

    [entry] = intake.read(Lane.BULK, 10, NEVER)
    assert entry.id == receipt
    assert intake.waiting()[Lane.BULK] == 3
    assert far.add(Lane.BULK, messages(3)) != receipt  # the same once more, but asked for once more


def test_given_the_answer_to_burying_is_lost_then_the_letter_is_there_once(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    with answer_lost(proxy):
        far.bury(LETTER)

    assert intake.dead_letters() == 1


def test_given_the_answer_to_taking_in_is_lost_then_entries_and_letters_are_there_once(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    far.bury(LETTER)  # and Redis knows the script

    with answer_lost(proxy):
        far.take_in([Parcel.of(lane, messages(2)) for lane in Lane], [LETTER])

    assert (intake.waiting(), intake.dead_letters()) == ({Lane.URGENT: 2, Lane.BULK: 2}, 2)


def test_given_the_answer_to_done_is_lost_then_nothing_is_buried_or_set_aside_twice(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    far.add(Lane.BULK, messages(2))
    far.add(Lane.BULK, messages(5))
    first, _ = far.read(Lane.BULK, 10, NEVER)

    with answer_lost(proxy):
        far.done(Lane.BULK, [first], [LETTER, LETTER], {"elsewhere": [{"n": 1}, {"n": 2}]})

    assert intake.dead_letters() == 2
    assert intake.waiting()[Lane.BULK] == 5
    [aside] = intake.unrouted()
    assert (aside.place, aside.messages) == (ELSEWHERE, 2)
    assert intake.client.xlen("worker:intake:bulk:unrouted:elsewhere") == 1


def test_given_the_answer_to_a_read_is_lost_then_it_is_read_again_when_it_has_been_idle(
    proxy: Proxy, far: Intake
) -> None:
    far.add(Lane.BULK, messages(2))

    with answer_lost(proxy):
        assert far.read(Lane.BULK, 10, NEVER) == []

    assert len(far.read(Lane.BULK, 10, timedelta(0))) == 1


def test_given_the_answer_to_a_wakeup_is_lost_then_it_is_not_asked_again_and_says_so(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    far.claim_wakeup("warm", NEVER)

    with answer_lost(proxy), pytest.raises(IntakeError, match=r"^Redis cannot be reached"):
        far.claim_wakeup("ingest:bulk", NEVER)  # asked again it would say that another has notified

    assert not intake.claim_wakeup("ingest:bulk", NEVER)


def test_given_the_answer_to_a_reload_is_lost_then_it_is_asked_for_once(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    far.ask_to_reload()

    with answer_lost(proxy), pytest.raises(IntakeError, match=r"^Redis cannot be reached"):
        far.ask_to_reload()

    assert intake.asked_to_reload("anybody").fleet == 2


@pytest.mark.slow
def test_given_the_answers_of_what_may_be_repeated_are_lost_then_they_are_as_without(
    proxy: Proxy, far: Intake, intake: Intake
) -> None:
    far.write_heartbeat("bulk@here", {"busy": 0})

    for look in (far.waiting, far.dead_letters, far.read_dead, far.heartbeats, far.unrouted, far.server):
        with answer_lost(proxy):
            look()
    for act in (
        lambda: far.write_heartbeat("bulk@here", {"busy": 1}),
        lambda: far.acknowledge("ingest:bulk"),
        lambda: far.tidy(ELSEWHERE),
        lambda: far.forget_heartbeats("bulk@there"),
    ):
        with answer_lost(proxy):
            act()

    assert set(intake.heartbeats()[1]) == {"bulk@here"}


@contextmanager
def gone_silent() -> Iterator[str]:
    """A Redis whose network falls silent at the first question: the answer is lost, and who connects waits.
    Its URL."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))

        def serve() -> None:
            caller, _ = listener.accept()
            with caller, caller.makefile("rb") as said:
                while b"MGET" not in (line := said.readline()):
                    if line.startswith(b"CLIENT"):
                        caller.sendall(b"+OK\r\n")
                with suppress(TimeoutError):
                    while True:  # until there is no room for one more
                        stack.enter_context(socket.create_connection(listener.getsockname(), 0.5))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0?protocol=2&socket_connect_timeout=0.1"
        thread.join()


@contextmanager
def own_connects() -> Iterator[list[object]]:
    """The addresses that this thread connects to meanwhile."""
    seen: list[object] = []
    own: int | None = threading.get_ident()

    def hear(event: str, parts: tuple[object, ...]) -> None:
        if event == "socket.connect" and threading.get_ident() == own:
            seen.append(parts[1])

    sys.addaudithook(hear)  # for good
    yield seen
    own = None


@pytest.mark.slow
def test_given_an_answer_is_lost_and_nobody_connects_any_more_then_all_is_tried_six_times_more() -> None:
    with gone_silent() as url, closing(Intake.connect(url)) as far, own_connects() as connects:
        with pytest.raises(IntakeError, match=r"^Redis cannot be reached"):
            far.waiting()

        assert len(connects) == 1 + TRIES


@pytest.mark.slow
def test_given_more_threads_than_connections_when_redis_holds_its_breath_then_all_wait_and_none_is_refused(
    setup: Setup, proxy: Proxy, intake: Intake
) -> None:
    crowd = CONNECTIONS + 50
    failed: list[Exception] = []
    with ExitStack() as stack:
        settings = setup.routes(alpha={"url": "https://alphasms.net"})
        dispatcher = Dispatcher(replace(settings, redis_url=f"redis://127.0.0.1:{proxy.port}/0"))
        stack.callback(dispatcher.close)
        dispatcher.enqueue(message(1))  # and everything is opened

        def hand_over(number: int) -> None:
            try:
                dispatcher.enqueue(message(number))
            except Exception as problem:
                failed.append(problem)

        threads = [threading.Thread(target=hand_over, args=(number,)) for number in range(2, crowd + 2)]
        proxy.silence()
        for thread in threads:
            thread.start()
        eventually(lambda: proxy.counts.open >= CONNECTIONS)
        proxy.mend("resume")
        for thread in threads:
            thread.join()

    assert failed == []
    assert intake.waiting()[Lane.BULK] == crowd + 1
