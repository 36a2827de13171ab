"""The network between two processes, which a test may break: a TCP proxy with controls.

It listens on 127.0.0.1, on one port for its whole life, and passes bytes on to a TCP address or a unix
socket. One thread with a selector moves all of them; controls are for any thread, and what one orders has
happened when it returns. What it cannot play: connecting to a server that is down is accepted and then reset
(`refuse` says no at once), and in silence a connection is made, where on a dead network that too would hang.
"""

import selectors
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

Target = tuple[str, int] | Path
Direction = Literal["up", "down"]  # from the client to the server, and back
Held = Literal["cut", "dead", "resume"]

HOST = "127.0.0.1"
CHUNK = 1 << 18
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends RST and not FIN
PATIENCE = 10.0  # seconds for the thread to obey


class Counts(NamedTuple):
    """Since the proxy was entered. Bytes are those read from one side to be passed on to the other."""

    accepted: int
    open: int  # of those accepted: at this moment, in any state
    cut: int  # by a control, not by either side
    up: int
    down: int


@dataclass(eq=False)
class _Cut:
    """An ordered cut: after `left` more bytes one way."""

    left: int
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Flow:
    """One direction of one connection. It reads on only when the sink has taken everything."""

    direction: Direction
    source: socket.socket
    sink: socket.socket
    rest: bytes = b""
    ended: bool = False  # the source has said its last
    closed: bool = False  # and the sink was told
    cut: _Cut | None = None  # due once the sink has taken the rest


@dataclass(eq=False)
class _End:
    """One of the two sockets of a connection."""

    socket: socket.socket
    out: _Flow
    into: _Flow
    watched: int = 0  # what the selector waits for

    def wanted(self) -> int:
        """What there is to wait for. Nothing, if the other side is slow."""
        reading = not (self.out.rest or self.out.ended)
        return (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self.into.rest else 0)


class _Link:
    """A connection through the proxy, both halves of it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        up, down = _Flow("up", client, server), _Flow("down", server, client)
        self.flows = (up, down)
        self.ends = (_End(client, up, down), _End(server, down, up))


class Proxy:
    """`with Proxy(target) as proxy:` clients connect to `proxy.port`; see the controls below."""

    def __init__(self, target: Target, port: int = 0) -> None:
        self._target = target
        # Bound for ever and never listening: it keeps the port ours while connections are refused.
        self._place = _bound(port)
        self.port: int = self._place.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._buffer = memoryview(bytearray(CHUNK))
        self._orders: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._notifier, self._waker = socket.socketpair()
        self._notifier.setblocking(False)
        self._listener: socket.socket | None = None
        self._silent = self._stopped = False
        self._live: set[_Link] = set()
        self._held: set[_Link] = set()  # by silence
        self._unanswered: set[socket.socket] = set()  # accepted in silence: no server knows of them
        self._dead: set[_Link | socket.socket] = set()  # left over from a silence for good
        self._cuts: dict[Direction, _Cut] = {}
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name=f"proxy {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._notifier, selectors.EVENT_READ, self._obey)
        self._listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._order(self._stop)
        self._thread.join()
        for each in (self._notifier, self._waker, self._place, self._selector):
            each.close()

    # Controls

    def cut(self) -> None:
        """Resets every open connection, on both sides; new ones are as before."""
        self._order(self._cut_all)

    def refuse(self) -> None:
        """Nobody listens any more: new connections are refused, and open ones are cut."""
        self._order(self._refuse)

    def silence(self) -> None:
        """Connections stay open and not a byte moves, not even the end of one; new ones are never answered.

        Bytes are held as a network holds them: by the kernel, as far as its buffers go.
        """
        self._order(self._be_silent)

    def mend(self, held: Held = "cut") -> None:
        """Back to normal; an ordered `cut_after` is forgotten.

        Connections held by a silence are reset (a network that knows nothing of them any more and says so),
        stay dead (one that does not say so), or resume where they were (a short outage).
        """
        self._order(partial(self._mend, held))

    def cut_after(self, n_bytes: int, direction: Direction) -> threading.Event:
        """Once: after exactly so many more bytes this way, cuts the connection that carried the last one.

        Counted over all connections. 0 cuts the connection whose next byte this way it would be: with "down",
        a request went through and no answer to it. The event is set when it has happened.
        """
        cut = _Cut(n_bytes)
        self._order(lambda: self._cuts.update({direction: cut}))
        return cut.done

    @property
    def counts(self) -> Counts:
        """As they are at this moment."""
        seen: list[Counts] = []
        self._order(lambda: seen.append(self._count()))
        return seen[0]

    # All below runs in the proxy's own thread

    def _order(self, act: Callable[[], None]) -> None:
        """Has it done by the thread, and waits until it is."""
        done: Future[None] = Future()
        self._orders.append((act, done))
        self._waker.send(b"!")
        done.result(PATIENCE)

    def _run(self) -> None:
        while not self._stopped:
            for key, events in self._selector.select():
                key.data(events)

    def _obey(self, _events: int) -> None:
        self._notifier.recv(CHUNK)
        self._accept(0)  # who had connected when the order was given belongs to the time before it
        while self._orders:
            act, done = self._orders.popleft()
            try:
                act()
                done.set_result(None)
            except Exception as problem:  # for the one who ordered it to see
                done.set_exception(problem)

    def _stop(self) -> None:
        self._stopped = True
        self._refuse()

    def _refuse(self) -> None:
        self._silent = False
        if self._listener:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._cut_all()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.setblocking(False)
            self._listener.listen(1024)
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _be_silent(self) -> None:
        self._listen()
        self._silent = True
        for link in self._live:
            self._watch(link, still=True)
        self._held |= self._live
        self._live.clear()

    def _mend(self, held: Held) -> None:
        self._listen()
        self._silent = False
        self._cuts.clear()
        links, clients = self._held, self._unanswered
        self._held, self._unanswered = set(), set()
        if held == "dead":
            self._dead |= {*links, *clients}
        elif held == "cut":
            self._cut({*links, *clients})
        else:
            self._live |= links
            for link in links:
                self._watch(link)
            for client in clients:
                self._open(client)

    def _cut_all(self) -> None:
        self._cut({*self._live, *self._held, *self._unanswered, *self._dead})

    def _cut(self, ones: set[_Link | socket.socket]) -> None:
        self._counts["cut"] += len(ones)
        for one in ones:
            self._end(one, reset=True)

    def _end(self, one: _Link | socket.socket, *, reset: bool) -> None:
        if isinstance(one, _Link):
            self._watch(one, still=True)
            self._live.discard(one)
            self._held.discard(one)
        else:
            self._unanswered.discard(one)
        self._dead.discard(one)
        for each in [end.socket for end in one.ends] if isinstance(one, _Link) else [one]:
            if reset and each.family != socket.AF_UNIX:  # which has no RST: closing it is all one can do
                with suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.close()

    def _count(self) -> Counts:
        count = self._counts
        now = len(self._live) + len(self._held) + len(self._unanswered) + len(self._dead)
        return Counts(count["accepted"], now, count["cut"], count["up"], count["down"])

    def _accept(self, _events: int) -> None:
        while self._listener:
            try:
                client, _ = self._listener.accept()
            except OSError:  # nobody left, or gone before we looked
                return
            self._counts["accepted"] += 1
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._silent:
                self._unanswered.add(client)
            else:
                self._open(client)

    def _open(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(self._target, Path) else socket.AF_INET)
        server.setblocking(False)
        link = _Link(client, server)
        try:
            if isinstance(self._target, Path):
                server.connect(str(self._target))
            else:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(BlockingIOError):  # under way: until then it is merely not writable
                    server.connect(self._target)
        except OSError:
            self._end(link, reset=True)
            return
        self._live.add(link)
        self._watch(link)

    def _watch(self, link: _Link, *, still: bool = False) -> None:
        """Waits for what there is to wait for, or for nothing."""
        for end in link.ends:
            wanted = 0 if still else end.wanted()
            if wanted == end.watched:
                continue
            if not end.watched:
                self._selector.register(end.socket, wanted, partial(self._serve, link, end))
            elif not wanted:
                self._selector.unregister(end.socket)
            else:
                self._selector.modify(end.socket, wanted, partial(self._serve, link, end))
            end.watched = wanted

    def _serve(self, link: _Link, end: _End, events: int) -> None:
        """Moves what can be moved. A connection no longer live has had its event before the order."""
        for kind, flow in ((selectors.EVENT_READ, end.out), (selectors.EVENT_WRITE, end.into)):
            if events & kind and link in self._live:
                try:
                    self._move(link, flow)
                except OSError:  # one side is gone, and the other is to know
                    self._end(link, reset=True)
        if link in self._live:
            self._watch(link)

    def _move(self, link: _Link, flow: _Flow) -> None:
        if flow.rest:
            flow.rest = flow.rest[_sent(flow.sink, memoryview(flow.rest)) :]
        elif not (flow.ended or flow.cut):
            self._read(flow)
        if flow.rest:
            return
        if flow.cut:
            self._cut({link})
            flow.cut.done.set()
        elif flow.ended and not flow.closed:
            flow.sink.shutdown(socket.SHUT_WR)
            flow.closed = True
            if all(each.closed for each in link.flows):
                self._end(link, reset=False)

    def _read(self, flow: _Flow) -> None:
        """One chunk, passed on as far as the sink takes it. Just before an ordered cut it only looks."""
        cut = self._cuts.get(flow.direction)
        most, peek = (CHUNK, 0) if cut is None else (max(1, cut.left), 0 if cut.left else socket.MSG_PEEK)
        try:
            size = flow.source.recv_into(self._buffer, min(most, CHUNK), peek)
        except BlockingIOError:
            return
        flow.ended = size == 0
        if cut and size:
            cut.left -= min(size, cut.left)
            if not cut.left:
                flow.cut = self._cuts.pop(flow.direction)
        if size and not peek:
            self._counts[flow.direction] += size
            flow.rest = bytes(self._buffer[_sent(flow.sink, self._buffer[:size]) : size])


def _sent(sink: socket.socket, what: memoryview) -> int:
    try:
        return sink.send(what)
    except BlockingIOError:
        return 0


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
