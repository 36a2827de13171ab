"""The door: it says when it listens, ends when told to, and survives rude callers."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from bulk_dispatch.http_server import bound_socket
from bulk_dispatch.sandbox.server import Mix, SandboxOptions, Timings, running
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, codes, error, eventually, msg
from tests.sandbox.process import started


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_signal_ends_it_and_exit_code_is_0(how: signal.Signals) -> None:
    with started() as sandbox:
        assert sandbox.customer.see("health") == {"ok": True}

        assert sandbox.end(how) == 0


@pytest.mark.slow
def test_it_does_not_wait_for_the_slowest_fault() -> None:
    with started() as sandbox:
        sandbox.customer.script({"do": "slow", "seconds": 3600})
        waiting = sandbox.in_background(lambda: sandbox.customer.send(msg(1)))
        eventually(sandbox.customer.taken, lambda taken: taken == 1)
        before = time.monotonic()

        assert sandbox.end(signal.SIGTERM) == 0

        assert time.monotonic() - before < 5
        waiting.join()


def test_a_taken_port_is_an_error_at_once(customer: Customer) -> None:
    port = customer.http.base_url.port
    assert port is not None

    with pytest.raises(OSError, match="in use"), running(SandboxOptions(port=port)):
        pass


@pytest.mark.slow
def test_it_comes_back_on_the_same_port() -> None:
    with started() as first:
        port = first.customer.http.base_url.port
        first.end(signal.SIGKILL)
        with pytest.raises(httpx.ConnectError):  # how a script refuses connections: it stops the process
            first.customer.send(msg(1))
    assert port is not None

    with started(port=port) as second:
        assert codes(second.customer.send(msg(1))) == [1]


@pytest.mark.slow
def test_more_requests_at_once_than_allowed_are_throttled(another: Another) -> None:
    customer = another(SandboxOptions(parallel_limit=2))
    customer.script({"do": "slow", "seconds": 1, "times": 2})
    waiting = [threading.Thread(target=customer.send, args=(msg(own),)) for own in (1, 2)]
    for one in waiting:
        one.start()
    eventually(customer.taken, lambda taken: taken == 2)

    assert error(customer.send(msg(3))) == 212

    for one in waiting:
        one.join()
    assert codes(customer.send(msg(3))) == [1]
    counts = customer.counts()
    assert counts["peak_parallel"] == 3
    assert counts["requests"] == {"message": 3, "throttled": 1}


def test_a_caller_who_hangs_up_in_mid_request_leaves_no_trace(customer: Customer) -> None:
    address = urlsplit(str(customer.http.base_url))
    with socket.create_connection((address.hostname, address.port)) as rude:
        rude.sendall(b"POST /api/xml.php HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n<package key=")

    eventually(customer.counts, lambda counts: counts["peak_parallel"] >= 1)
    assert codes(customer.send(msg(1))) == [1]
    assert customer.counts()["requests"] == {"message": 1}


def test_connections_do_not_wait_for_delayed_acknowledgements() -> None:
    """Without it, a large request takes 40 ms longer."""

    async def accepted_without_delay() -> int:
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        bound = bound_socket("127.0.0.1", 0)
        async with await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=bound):
            _, caller = await asyncio.open_connection(*bound.getsockname())
            writer = await accepted
            no_delay = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for end in (caller, writer):
                end.close()
                await end.wait_closed()
            return int(no_delay)

    assert asyncio.run(accepted_without_delay())


WRONG: dict[str, Callable[[], object]] = {
    "negative weight": lambda: Mix(delivered=-1),
    "no weight": lambda: Mix(0, 0, 0, 0),
    "share above 1": lambda: Mix(refused=1.5),
    "final before first": lambda: Timings(first=2, final=(1, 3)),
    "final upside down": lambda: Timings(final=(3, 1)),
    "negative job": lambda: Timings(job=-1),
    "login alone": lambda: SandboxOptions(password=None),
    "no requests at all": lambda: SandboxOptions(parallel_limit=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_options_without_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=" "):
        WRONG[name]()
