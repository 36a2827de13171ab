"""The proxy itself: what each control does to real sockets on both sides of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.faults.proxy import Direction, Held, Proxy
from tests.waiting import eventually

HOST = "127.0.0.1"
SHORT = 0.2  # seconds in which nothing is to come
PATIENCE = 10.0
BULK = bytes(range(256)) * (1 << 16)  # 16 MB


class Echo:
    """A server that says everything back; `ended` tells how each connection came to its end."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.open = 0
        self.ended: list[str] = []
        self.heard = 0
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open += 1
                thread = threading.Thread(target=self._talk, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        end = "closed"
        try:
            while heard := connection.recv(1 << 18):
                self.heard += len(heard)
                connection.sendall(heard)
        except OSError:
            end = "reset"
        connection.close()
        self.open -= 1
        self.ended.append(end)

    def close(self) -> None:
        """After the proxy, which takes the connections with it."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in (self._accepting, *self._threads):
            thread.join(PATIENCE)


class Wire:
    """A proxy before an echo, and clients of it."""

    def __init__(self, proxy: Proxy, echo: Echo, stack: ExitStack) -> None:
        self.proxy, self.echo, self._stack = proxy, echo, stack

    def connect(self) -> socket.socket:
        return self._stack.enter_context(socket.create_connection((HOST, self.proxy.port), PATIENCE))

    def talking(self) -> socket.socket:
        """A connection that is known to work."""
        client = self.connect()
        assert said(client, b"hello") == b"hello"
        return client


def said(client: socket.socket, words: bytes) -> bytes:
    """What comes back, as long as what was said."""
    client.sendall(words)
    return heard(client, len(words))


def heard(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := client.recv(size - len(found))):
        found += more
    return found


def is_reset(client: socket.socket) -> bool:
    try:
        return not client.recv(1)
    except ConnectionResetError:
        return True


def is_still(client: socket.socket) -> bool:
    client.settimeout(SHORT)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE)
    return False


@pytest.fixture(params=["tcp", "unix"])
def wire(request: pytest.FixtureRequest, folder: Path) -> Iterator[Wire]:
    """Before both kinds of servers."""
    if request.param == "tcp":
        listener = socket.create_server((HOST, 0))
        with ExitStack() as stack:
            echo = Echo(listener)
            stack.callback(echo.close)
            proxy = stack.enter_context(Proxy(listener.getsockname()))
            yield Wire(proxy, echo, stack)
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "echo"))
    listener.listen()
    with ExitStack() as stack:
        echo = Echo(listener)
        stack.callback(echo.close)
        proxy = stack.enter_context(Proxy(folder / "echo"))
        yield Wire(proxy, echo, stack)


def test_every_byte_goes_through_both_ways_and_a_slow_reader_loses_none(wire: Wire) -> None:
    client = wire.connect()
    sending = threading.Thread(target=client.sendall, args=(BULK,))
    sending.start()
    eventually(lambda: wire.echo.heard > 0)

    found = heard(client, len(BULK))

    sending.join()
    assert found == BULK
    assert wire.proxy.counts == (1, 1, 0, len(BULK), len(BULK))


def test_an_end_is_passed_on_and_the_rest_still_comes_back(wire: Wire) -> None:
    client = wire.connect()

    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)

    assert heard(client, 100) == b"last words"
    eventually(lambda: wire.echo.ended == ["closed"])
    eventually(lambda: wire.proxy.counts.open == 0)


def test_a_client_that_dies_is_seen_by_the_server(wire: Wire) -> None:
    client = wire.talking()

    client.close()

    eventually(lambda: wire.echo.ended)
    eventually(lambda: wire.proxy.counts.open == 0)
    assert wire.proxy.counts.cut == 0


def test_cut_resets_all_on_both_sides_and_new_ones_work(wire: Wire) -> None:
    clients = [wire.talking(), wire.talking()]

    wire.proxy.cut()

    for client in clients:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    eventually(lambda: len(wire.echo.ended) == 2)
    wire.talking()
    assert wire.proxy.counts[:3] == (3, 1, 2)


def test_refuse_refuses_and_mend_comes_back_on_the_same_port(wire: Wire) -> None:
    client = wire.talking()

    wire.proxy.refuse()

    assert is_reset(client)
    eventually(lambda: wire.echo.ended)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            wire.connect()
    wire.proxy.mend()
    wire.talking()


def test_silence_takes_everything_and_says_nothing(wire: Wire) -> None:
    client = wire.talking()
    before = wire.echo.heard

    wire.proxy.silence()

    client.sendall(b"anybody there?")
    new = wire.connect()
    new.sendall(b"anybody?")
    assert is_still(client)
    assert is_still(new)
    client.close()
    assert (wire.echo.heard, wire.echo.open, wire.echo.ended) == (before, 1, [])
    assert wire.proxy.counts.open == 2


@pytest.mark.parametrize("held", ["cut", "dead", "resume"])
def test_after_a_silence(wire: Wire, held: Held) -> None:
    client = wire.talking()
    wire.proxy.silence()
    new = wire.connect()
    for each in (client, new):
        each.sendall(b"late")

    wire.proxy.mend(held)

    if held == "resume":
        assert [heard(each, 4) for each in (client, new)] == [b"late", b"late"]
    elif held == "cut":
        assert is_reset(client)
        assert is_reset(new)
        eventually(lambda: wire.echo.open == 0)
    else:
        assert is_still(client)
        assert is_still(new)
        assert wire.echo.open == 1
    wire.talking()


def test_a_cut_ends_what_a_silence_left_dead(wire: Wire) -> None:
    client = wire.talking()
    wire.proxy.silence()
    wire.proxy.mend("dead")

    wire.proxy.cut()

    assert is_reset(client)
    eventually(lambda: wire.echo.open == 0)


@pytest.mark.parametrize(("direction", "n_bytes"), [("up", 0), ("up", 7), ("down", 0), ("down", 7)])
def test_cut_after_so_many_bytes(wire: Wire, direction: Direction, n_bytes: int) -> None:
    other, client = wire.talking(), wire.talking()
    before = wire.echo.heard

    done = wire.proxy.cut_after(n_bytes, direction)
    client.sendall(b"ten bytes.")

    assert done.wait(PATIENCE)
    eventually(lambda: wire.echo.ended)
    if direction == "down":
        assert wire.echo.heard == before + 10
        assert heard(client, n_bytes) == b"ten bytes."[:n_bytes]
    else:
        assert wire.echo.heard == before + n_bytes
    assert is_reset(client)
    assert said(other, b"still here") == b"still here"
    assert wire.proxy.counts.cut == 1


def test_cut_after_counts_over_all_connections_and_large_amounts(wire: Wire) -> None:
    first, second = wire.talking(), wire.talking()
    before = wire.proxy.counts
    done = wire.proxy.cut_after(1_000_005, "up")

    assert said(first, b"first") == b"first"
    assert not done.is_set()
    with suppress(OSError):
        second.sendall(BULK)

    assert done.wait(PATIENCE)
    assert wire.proxy.counts.up == before.up + 1_000_005
    assert said(first, b"again") == b"again"


def test_an_end_is_no_byte_that_a_cut_waits_for(wire: Wire) -> None:
    idle, busy = wire.talking(), wire.talking()
    done = wire.proxy.cut_after(0, "up")

    idle.close()
    eventually(lambda: wire.proxy.counts.open == 1)

    assert not done.is_set()
    busy.sendall(b"x")
    assert done.wait(PATIENCE)


def test_mend_forgets_an_ordered_cut(wire: Wire) -> None:
    done = wire.proxy.cut_after(0, "up")

    wire.proxy.mend()

    wire.talking()
    assert not done.is_set()


def test_a_server_that_is_down_looks_like_a_reset(wire: Wire) -> None:
    wire.echo.close()

    with pytest.raises(ConnectionResetError):
        wire.connect().recv(1)

    eventually(lambda: wire.proxy.counts == (1, 0, 0, 0, 0))


@pytest.mark.parametrize("spoil", [Proxy.refuse, Proxy.silence, Proxy.mend], ids=lambda each: each.__name__)
def test_leaving_it_ends_every_connection_whatever_was_ordered(
    wire: Wire, spoil: Callable[[Proxy], None]
) -> None:
    with Proxy(wire.proxy._target) as proxy:
        client = socket.create_connection((HOST, proxy.port), PATIENCE)
        assert said(client, b"hello") == b"hello"
        spoil(proxy)

    with client:
        assert is_reset(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), PATIENCE)
