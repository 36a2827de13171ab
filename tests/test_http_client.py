"""Transport: every way an exchange can fail, on a real socket, sorted by whether they can have it."""

import gzip
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from itertools import islice, repeat

import brotli
import httpcore
import httpx
import pytest
from backports import zstd

from bulk_dispatch.http_client import KEEPALIVE, RENAMED, REPLY_LIMIT, SORTED, Transport, steady
from bulk_dispatch.providers.failures import LOST, NOT_SENT, UNREADABLE, Acceptance, Failure, RouteAction
from bulk_dispatch.providers.interface import Reply, Request

SECRET = "s3cret"
BODY = b"<message>Your code is 271828</message>"
SECOND = timedelta(seconds=1)
QUICK = timedelta(milliseconds=250)
LONG = 30.0  # seconds a rude server goes on, if it is let

Behaviour = Callable[[socket.socket, "Peer"], None]


class Peer:
    """A server that does to each connection what it was told, and remembers what it was sent."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self.over = threading.Event()
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How often somebody came."""
        return len(self._connections)

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        self.over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # stopped
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._behave(connection, self)

    def take(self, connection: socket.socket) -> bytes:
        """One whole request; empty if the client went away."""
        found = b""
        while b"\r\n\r\n" not in found:
            if not (part := connection.recv(65536)):
                return b""
            found += part
        head, _, body = found.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def send_slowly(self, connection: socket.socket, chunks: Iterator[bytes]) -> None:
        """One chunk every 20 ms, until the end of the test."""
        for chunk in chunks:
            connection.sendall(chunk)
            if self.over.wait(0.02):
                return


@pytest.fixture
def peer() -> Iterator[Callable[[Behaviour], Peer]]:
    """Starts servers; all are gone after the test."""
    with ExitStack() as stack:

        def start(behave: Behaviour) -> Peer:
            peer = Peer(behave)
            peer.start()
            stack.callback(peer.stop)
            return peer

        yield start


StartPeer = Callable[[Behaviour], Peer]


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


def request(url: str, body: bytes = BODY) -> Request:
    return Request(f"{url}/api?key={SECRET}", body, {"X-Token": SECRET, "Content-Type": "text/xml"})


def exchange(
    transport: Transport, url: str, *, whole: timedelta = 5 * SECOND, body: bytes = BODY
) -> Reply | Failure:
    return transport.exchange(request(url, body), connect=SECOND, whole=whole)


def answering(*answers: bytes) -> Behaviour:
    """Answers one request after another on the same connection, then closes it."""

    def behave(connection: socket.socket, peer: Peer) -> None:
        for answer in answers:
            if not peer.take(connection):
                return
            connection.sendall(answer)

    return behave


def ok(body: bytes = b"taken", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- what goes well --------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_built_and_the_answer_comes_back_whole(
    transport: Transport, peer: StartPeer
) -> None:
    there = peer(answering(ok("взято".encode())))

    reply = exchange(transport, there.url)

    assert reply == Reply(200, "взято".encode())
    [got] = there.requests
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /api?key=s3cret HTTP/1.1"
    assert body == BODY
    assert {b"X-Token: s3cret", b"Content-Type: text/xml", b"User-Agent: bulk-dispatch-worker"} <= set(lines)
    assert b"Accept-Encoding: identity" in lines
    assert b"Content-Length: %d" % len(BODY) in lines
    names = {line.partition(b":")[0].lower() for line in lines[1:]}
    ours = {b"host", b"user-agent", b"accept", b"accept-encoding", b"content-length"}
    assert names == ours | {b"x-token", b"content-type"}


def test_a_name_and_a_password_in_the_address_are_told(transport: Transport, peer: StartPeer) -> None:
    there = peer(answering(ok()))

    exchange(transport, there.url.replace("http://", "http://us%40er:pass@"))

    [got] = there.requests
    assert b"Authorization: Basic " + b64encode(b"us@er:pass") in got.split(b"\r\n")
    assert b"pass@" not in got


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 429, 500, 502, 503])
def test_whatever_they_answer_is_an_answer(transport: Transport, peer: StartPeer, status: int) -> None:
    body = b"" if status == 204 else b"reason"
    there = peer(answering(b"HTTP/1.1 %d Indeed\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)))

    assert exchange(transport, there.url) == Reply(status, body)


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntaken\r\n0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\n\r\ntaken", False),  # to the end of the connection
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken", True),
        # we asked for none
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\ntaken", True),
    ],
    ids=["chunked", "to the end", "continue", "wrongly labelled"],
)
def test_every_framing_of_an_answer_is_read(
    transport: Transport, peer: StartPeer, answer: bytes, ended: bool
) -> None:
    assert exchange(transport, peer(answering(answer)).url) == Reply(200, b"taken", ended)


BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
PACKED: dict[str, tuple[bytes, bytes]] = {
    "gzip": (b"gzip", gzip.compress(BODY)),
    "x-gzip": (b"X-GZip", gzip.compress(BODY)),
    "gzip in two members": (b"gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
    "zstd in two frames": (b"zstd", zstd.compress(BODY[:9]) + zstd.compress(BODY[9:])),
    "deflate": (b"deflate", zlib.compress(BODY)),
    "bare deflate": (b"deflate", BARE.compress(BODY) + BARE.flush()),
    "br": (b"br", brotli.compress(BODY)),
    "zstd": (b"zstd", zstd.compress(BODY)),
    "one over the other": (b"gzip, identity, br", brotli.compress(gzip.compress(BODY))),
    "gzip without a label": (b"identity", gzip.compress(BODY)),
    "zstd without a label": (b"", zstd.compress(BODY)),
}


@pytest.mark.parametrize(("label", "packed"), PACKED.values(), ids=PACKED)
def test_given_an_answer_in_a_coding_nobody_asked_for_then_it_is_read(
    transport: Transport, peer: StartPeer, label: bytes, packed: bytes
) -> None:
    there = peer(answering(ok(packed, b"Content-Encoding: %s\r\n" % label)))

    assert exchange(transport, there.url) == Reply(200, BODY)


@pytest.mark.parametrize("label", [b"gzip", b"deflate", b"br", b"zstd", b"compress", b"gzip, br"])
def test_given_a_plain_answer_with_a_wrong_label_then_it_is_read(
    transport: Transport, peer: StartPeer, label: bytes
) -> None:
    there = peer(answering(ok("взято".encode(), b"Content-Encoding: %s\r\n" % label)))

    assert exchange(transport, there.url) == Reply(200, "взято".encode())


def test_given_noise_after_what_came_compressed_then_it_is_kept(
    transport: Transport, peer: StartPeer
) -> None:
    there = peer(answering(ok(gzip.compress(BODY) + b"\nNotice", b"Content-Encoding: gzip\r\n")))

    assert exchange(transport, there.url) == Reply(200, BODY + b"\nNotice")


BLANKS = b" " * (REPLY_LIMIT + 1)


@pytest.mark.parametrize(
    ("label", "packed"),
    [
        (b"gzip", gzip.compress(BLANKS)),
        (b"gzip", gzip.compress(BLANKS[1:]) + gzip.compress(b" ")),
        (b"deflate", zlib.compress(BLANKS)),
        (b"br", brotli.compress(BLANKS, quality=4)),
        (b"zstd", zstd.compress(BLANKS)),
        (b"gzip, gzip", gzip.compress(gzip.compress(BLANKS))),
    ],
    ids=["gzip", "gzip in two members", "deflate", "br", "zstd", "one over the other"],
)
def test_given_an_answer_that_is_endless_once_made_plain_then_it_is_cut_off(
    transport: Transport, peer: StartPeer, label: bytes, packed: bytes
) -> None:
    there = peer(answering(ok(packed, b"Content-Encoding: %s\r\n" % label)))

    assert exchange(transport, there.url) == UNREADABLE.because(
        detail=f"the answer is longer than {REPLY_LIMIT} bytes once it is made plain"
    )


@pytest.mark.parametrize(
    ("label", "packed", "detail"),
    [
        (b"gzip", gzip.compress(BODY)[:-9], "is labelled gzip, which it is not, or came damaged"),
        (b"deflate", zlib.compress(BODY)[:-9], "is labelled deflate, which it is not, or came damaged"),
        (b"br", brotli.compress(BODY)[:-9], "is labelled br, which it is not, or came damaged"),
        (b"zstd", zstd.compress(BODY)[:-9], "is labelled zstd, which it is not, or came damaged"),
        (b"br", gzip.compress(BODY), "is labelled br, which it is not, or came damaged"),
        (b"compress", gzip.compress(BODY), "came in a coding we cannot read, and did not ask for"),
        (b"gzip", gzip.compress(b"") * 800_000, "is labelled gzip, which it is not, or came damaged"),
        (b"gzip, gzip, gzip, gzip", gzip.compress(BODY), "came in too many codings at once"),
    ],
    ids=["gzip", "deflate", "br", "zstd", "another", "unknown", "in many members", "too many"],
)
def test_given_an_answer_that_cannot_be_made_plain_then_it_says_so_and_its_status_counts_all_the_same(
    transport: Transport, peer: StartPeer, label: bytes, packed: bytes, detail: str
) -> None:
    head = b"Content-Encoding: %s\r\n" % label
    refused = ok(packed, head).replace(b"200 OK", b"401 No")
    there = peer(answering(ok(packed, head), refused))

    assert exchange(transport, there.url) == UNREADABLE.because(detail=f"the answer {detail}")
    assert exchange(transport, there.url) == Reply(401, packed)


def test_a_redirect_is_not_followed(transport: Transport, peer: StartPeer) -> None:
    """A redirected POST may be sent twice."""
    elsewhere = peer(answering(ok()))
    moved = b"HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % elsewhere.url.encode()

    assert exchange(transport, peer(answering(moved)).url) == Reply(307, b"")
    assert elsewhere.connections == 0


def test_connections_are_used_again(transport: Transport, peer: StartPeer) -> None:
    there = peer(answering(*[ok()] * 5))

    for _ in range(5):
        assert exchange(transport, there.url) == Reply(200, b"taken")

    assert there.connections == 1


def test_a_connection_that_they_closed_meanwhile_is_replaced(transport: Transport, peer: StartPeer) -> None:
    closed = threading.Event()

    def behave(connection: socket.socket, peer: Peer) -> None:
        answering(ok())(connection, peer)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    there = peer(behave)
    for _ in range(3):
        assert exchange(transport, there.url) == Reply(200, b"taken")
        assert closed.wait(LONG)
        closed.clear()

    assert there.connections == 3


def hanging_up_on_the_second(connection: socket.socket, peer: Peer) -> None:
    """Its time of an idle connection runs out just as it is used again: what comes then is not looked at."""
    if peer.take(connection):
        connection.sendall(ok())
        connection.recv(1)


def test_given_a_server_that_hangs_up_on_what_it_kept_then_fresh_connections_leave_no_doubt(
    transport: Transport, peer: StartPeer
) -> None:
    there = peer(hanging_up_on_the_second)

    def ask(keepalive: timedelta) -> Reply | Failure:
        return transport.exchange(request(there.url), connect=SECOND, whole=5 * SECOND, keepalive=keepalive)

    assert [ask(timedelta(0)) for _ in range(5)] == [Reply(200, b"taken")] * 5
    assert there.connections == 5
    assert all(b"\r\nConnection: close\r\n" in one for one in there.requests)
    assert ask(KEEPALIVE) == Reply(200, b"taken")
    doubtful = ask(KEEPALIVE)
    assert isinstance(doubtful, Failure)
    assert doubtful.taken is Acceptance.UNKNOWN  # as it was, and must be: nobody can know


@pytest.mark.slow
def test_given_a_connection_that_was_idle_for_too_long_then_a_new_one_is_made(
    transport: Transport, peer: StartPeer
) -> None:
    there = peer(answering(*[ok()] * 5))

    for _ in range(3):
        transport.exchange(request(there.url), connect=SECOND, whole=5 * SECOND, keepalive=QUICK)
        time.sleep(QUICK.total_seconds() * 1.2)

    assert there.connections == 3


def test_many_threads_share_one_transport(transport: Transport, peer: StartPeer) -> None:
    there = peer(answering(*[ok()] * 100))
    found: list[Reply | Failure] = []

    def work() -> None:
        found.extend(exchange(transport, there.url) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [Reply(200, b"taken")] * 40
    assert len(there.requests) == 40


def test_a_cookie_of_one_account_does_not_travel_with_another(transport: Transport, peer: StartPeer) -> None:
    there = peer(answering(ok(head=b"Set-Cookie: session=of-account-one; Path=/\r\n"), ok()))

    exchange(transport, there.url)
    exchange(transport, there.url)

    assert b"of-account-one" not in there.requests[1]


def test_a_proxy_in_the_environment_sees_nothing(peer: StartPeer) -> None:
    there = peer(answering(ok()))
    script = f"""
from datetime import timedelta
from bulk_dispatch.providers.interface import Request
from bulk_dispatch.http_client import Transport
patience = timedelta(seconds=5)
print(Transport().exchange(Request({there.url!r}, b""), connect=patience, whole=patience))
"""
    away = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:1")

    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **away}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "Reply(status=200, ended=True)"


# -- not sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://127.0.0.1:1", "ConnectError"),
        ("http://nowhere.invalid", "ConnectError"),
        ("ftp://127.0.0.1", "UnsupportedProtocol"),
        ("127.0.0.1", "UnsupportedProtocol"),
        ("http://", "ConnectError"),
        ("http://127.0.0.1:port", "InvalidURL"),
    ],
    ids=["refused", "unresolvable", "scheme", "no scheme", "no host", "port"],
)
def test_without_a_connection_it_was_not_sent(transport: Transport, url: str, detail: str) -> None:
    assert exchange(transport, url) == NOT_SENT.because(detail=detail)


def test_a_server_that_speaks_no_tls_got_nothing(transport: Transport, peer: StartPeer) -> None:
    there = peer(lambda connection, _: connection.sendall(b"220 hello, this is mail\r\n"))

    outcome = exchange(transport, there.url.replace("http:", "https:"))

    assert outcome == NOT_SENT.because(detail="ConnectError")


def test_a_server_that_does_not_get_on_with_tls_got_nothing(transport: Transport, peer: StartPeer) -> None:
    def behave(connection: socket.socket, peer: Peer) -> None:
        peer.over.wait(LONG)

    there = peer(behave)

    outcome = transport.exchange(
        request(there.url.replace("http:", "https:")), connect=QUICK, whole=5 * SECOND
    )

    assert outcome == NOT_SENT.because(detail="ConnectTimeout")


@contextmanager
def full() -> Iterator[str]:
    """A server whose queue of connections is full: it does not answer the next."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_does_not_pick_up_got_nothing(transport: Transport) -> None:
    with full() as url:
        outcome = transport.exchange(request(url), connect=QUICK, whole=5 * SECOND)

    assert outcome == NOT_SENT.because(detail="ConnectTimeout")


# -- perhaps sent ----------------------------------------------------------------------------------------


def silent(connection: socket.socket, peer: Peer) -> None:
    peer.take(connection)
    peer.over.wait(LONG)


def resets_unread(connection: socket.socket, peer: Peer) -> None:
    connection.recv(1)
    reset(connection)


def resets(connection: socket.socket, peer: Peer) -> None:
    peer.take(connection)
    reset(connection)


def resets_after(part: bytes) -> Behaviour:
    def behave(connection: socket.socket, peer: Peer) -> None:
        peer.take(connection)
        connection.sendall(part)
        reset(connection)

    return behave


BROKEN = {"ReadError", "RemoteProtocolError"}  # a reset may overtake what was sent before it

LOSSES: dict[str, tuple[Behaviour, set[str]]] = {
    "no answer": (silent, {"ReadTimeout"}),
    "reset unread": (resets_unread, BROKEN),
    "reset before a byte": (resets, BROKEN),
    "reset in the headers": (resets_after(b"HTTP/1.1 200 OK\r\nConte"), BROKEN),
    "reset in the body": (resets_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntak"), BROKEN),
    "closed before a byte": (answering(b""), {"RemoteProtocolError"}),
    "closed in the headers": (answering(b"HTTP/1.1 200 OK\r\nConte"), {"RemoteProtocolError"}),
    "truncated body": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntak"),
        {"RemoteProtocolError"},
    ),
    "truncated chunk": (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntak"),
        {"RemoteProtocolError"},
    ),
    "no last chunk": (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntaken\r\n"),
        {"RemoteProtocolError"},
    ),
    "not HTTP": (answering(b"220 hello, this is mail\r\n\r\n"), {"RemoteProtocolError"}),
    "endless headers": (
        answering(b"HTTP/1.1 200 OK\r\n" + b"X-More: of the same\r\n" * 20_000),
        {"RemoteProtocolError"},
    ),
    "two lengths": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        {"RemoteProtocolError"},
    ),
}


@pytest.mark.parametrize(("behave", "details"), LOSSES.values(), ids=LOSSES)
def test_without_a_whole_answer_they_may_have_it(
    transport: Transport, peer: StartPeer, behave: Behaviour, details: set[str]
) -> None:
    outcome = exchange(transport, peer(behave).url, whole=SECOND)

    assert isinstance(outcome, Failure)
    assert outcome.because() == LOST
    assert outcome.detail in details


def test_a_peer_that_resets_a_long_request_may_have_enough_of_it(
    transport: Transport, peer: StartPeer
) -> None:
    outcome = exchange(transport, peer(resets_unread).url, body=b"x" * 20_000_000)

    assert isinstance(outcome, Failure)
    assert outcome.because() == LOST


def test_a_huge_answer_is_cut_off_and_unreadable(transport: Transport, peer: StartPeer) -> None:
    def behave(connection: socket.socket, peer: Peer) -> None:
        peer.take(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        for chunk in islice(repeat(b"x" * 65536), 2 * REPLY_LIMIT // 65536):
            connection.sendall(chunk)

    outcome = exchange(transport, peer(behave).url, whole=20 * SECOND)

    assert outcome == UNREADABLE.because(detail=f"answer longer than {REPLY_LIMIT} bytes")


def test_the_largest_answer_is_read(transport: Transport, peer: StartPeer) -> None:
    body = b"x" * REPLY_LIMIT

    assert exchange(transport, peer(answering(ok(body))).url, whole=20 * SECOND) == Reply(200, body)


# -- the deadline ----------------------------------------------------------------------------------------


def drips(head: bytes) -> Behaviour:
    """Sends a head, then a byte at a time."""

    def behave(connection: socket.socket, peer: Peer) -> None:
        peer.take(connection)
        connection.sendall(head)
        peer.send_slowly(connection, repeat(b"x", int(LONG / 0.02)))

    return behave


def pauses(connection: socket.socket, peer: Peer) -> None:
    """Each pause is shorter than the time-out, all together are not."""
    peer.take(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    while not peer.over.wait(0.4):
        connection.sendall(b"x")


def sips(connection: socket.socket, peer: Peer) -> None:
    """Reads a little of the request now and then: every write gets on, and never ends."""
    while not peer.over.wait(0.02):
        connection.recv(100_000)


SLOW: dict[str, tuple[Behaviour, bytes]] = {
    "drips its body": (drips(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"), BODY),
    "drips its headers": (drips(b"HTTP/1.1 200 OK\r\nX-More: "), BODY),
    "drips its first line": (drips(b"HTTP/1.1 200 O"), BODY),
    "drips chunks": (drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"), BODY),
    "pauses": (pauses, BODY),
    "sips the request": (sips, b"x" * 40_000_000),
}


@pytest.mark.parametrize(("behave", "body"), SLOW.values(), ids=SLOW)
@pytest.mark.slow
def test_a_slow_peer_is_cut_off_at_the_deadline(
    transport: Transport, peer: StartPeer, behave: Behaviour, body: bytes
) -> None:
    """An exchange that outlives its lease could be on the wire while its messages are sent again."""
    there = peer(behave)
    began = time.monotonic()

    outcome = transport.exchange(request(there.url, body), connect=QUICK, whole=SECOND / 2)

    lasted = time.monotonic() - began
    assert isinstance(outcome, Failure)
    assert outcome.because() == LOST
    assert lasted < (QUICK + SECOND).total_seconds() + 2  # of a busy machine


@pytest.mark.slow
def test_a_slow_answer_in_time_is_an_answer(transport: Transport, peer: StartPeer) -> None:
    def behave(connection: socket.socket, peer: Peer) -> None:
        peer.take(connection)
        peer.send_slowly(connection, (bytes([byte]) for byte in ok(b"in good time")))

    assert exchange(transport, peer(behave).url, whole=20 * SECOND) == Reply(200, b"in good time")


def test_a_cut_off_connection_is_not_used_again(transport: Transport, peer: StartPeer) -> None:
    first = threading.Event()

    def behave(connection: socket.socket, peer: Peer) -> None:
        if first.is_set():
            answering(ok(b"the second"))(connection, peer)
        else:
            first.set()
            silent(connection, peer)

    there = peer(behave)
    assert exchange(transport, there.url, whole=QUICK) == LOST.because(detail="ReadTimeout")

    assert exchange(transport, there.url) == Reply(200, b"the second")
    assert there.connections == 2


# -- the table -------------------------------------------------------------------------------------------


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    """The exceptions below one that have none below them."""
    below = [each for each in kind.__subclasses__() if each.__module__.partition(".")[0] == "httpx"]
    return {leaf for each in below for leaf in leaves(each)} if below else {kind}


def test_every_exception_of_httpx_is_sorted() -> None:
    """If this fails, httpx has learnt a new way to fail: decide whether they can have it, and add it."""
    outside = {httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError}

    assert leaves(httpx.TransportError) | outside == set(SORTED)


def test_every_exception_that_a_request_may_raise_is_sorted() -> None:
    """RequestError is what httpx promises to raise; nothing below it may be missing."""
    assert leaves(httpx.RequestError) - set(SORTED) == set()


def test_every_exception_of_httpcore_is_raised_as_the_one_of_that_name_in_httpx() -> None:
    """If this fails, httpcore has learnt a new way to fail: decide whether they can have it, and add it."""
    raised = {one for one in vars(httpcore).values() if isinstance(one, type) and issubclass(one, Exception)}
    above = {kind for one in raised for kind in one.__mro__[1:]}
    kept_inside = {httpcore.ConnectionNotAvailable}  # the pool takes another connection then

    assert raised - above - kept_inside == set(RENAMED)
    assert {kind.__name__: renamed for kind, renamed in RENAMED.items()} == {
        renamed.__name__: renamed for renamed in RENAMED.values()
    }
    assert set(RENAMED.values()) <= set(SORTED)


NEVER_LEFT = {
    httpx.ConnectTimeout,
    httpx.ConnectError,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
    httpx.InvalidURL,
}


@pytest.mark.parametrize("kind", SORTED, ids=lambda kind: kind.__name__)
def test_what_is_not_proven_unsent_is_in_doubt(kind: type[Exception]) -> None:
    failure = SORTED[kind]

    assert failure.taken is (Acceptance.NOT_ACCEPTED if kind in NEVER_LEFT else Acceptance.UNKNOWN)
    assert failure.remedy is RouteAction.PAUSE


class Newer(httpx.ReadError):
    """What a later httpx may raise below a kind that we know."""


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (httpx.PoolTimeout("x"), NOT_SENT.because(detail="PoolTimeout")),
        (httpx.ProxyError("x"), NOT_SENT.because(detail="ProxyError")),
        (httpx.WriteTimeout("x"), LOST.because(detail="WriteTimeout")),
        (httpx.LocalProtocolError("x"), LOST.because(detail="LocalProtocolError")),
        (httpx.DecodingError("x"), UNREADABLE.because(detail="DecodingError")),
        (Newer("x"), LOST.because(detail="Newer")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_becomes_the_failure_it_amounts_to(problem: Exception, outcome: Failure) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise problem

    transport = Transport(httpx.MockTransport(fail))

    assert exchange(transport, "http://127.0.0.1") == outcome
    transport.close()


def test_a_failure_we_do_not_know_travels_up_untouched() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise LookupError("new")

    transport = Transport(httpx.MockTransport(fail))

    with pytest.raises(LookupError, match="new"):
        exchange(transport, "http://127.0.0.1")
    transport.close()


# -- discretion ------------------------------------------------------------------------------------------


def test_not_a_byte_leaves_after_the_instant_it_may_leave_until(
    transport: Transport, peer: StartPeer
) -> None:
    server = peer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))

    late = transport.exchange(request(server.url), connect=SECOND, whole=SECOND, until=steady())
    in_time = transport.exchange(request(server.url), connect=SECOND, whole=SECOND, until=steady() + 5)

    assert isinstance(late, Failure)
    assert (late.name, late.taken) == (NOT_SENT.name, Acceptance.NOT_ACCEPTED)
    assert isinstance(in_time, Reply)
    assert len(server.requests) == 1


def test_an_exchange_that_may_go_on_only_so_long_ends_then(transport: Transport, peer: StartPeer) -> None:
    server = peer(answering())

    outcome = transport.exchange(request(server.url), connect=SECOND, whole=60 * SECOND, until=steady() + 0.3)

    assert isinstance(outcome, Failure)
    assert outcome.taken is Acceptance.UNKNOWN


@pytest.mark.parametrize(
    "url",
    [
        f"http://nowhere.invalid/{SECRET}",
        f"http://[{SECRET}",
        f"{SECRET}://host",
        f"http://{SECRET}:x@127.0.0.1:1",
    ],
)
def test_a_failure_tells_nothing_of_the_request(transport: Transport, url: str) -> None:
    outcome = exchange(transport, url)

    assert isinstance(outcome, Failure)
    for shown in (str(outcome), repr(outcome)):
        for hidden in (SECRET, "nowhere", "271828", "X-Token"):
            assert hidden not in shown


def test_a_failure_tells_nothing_of_what_came_back(transport: Transport, peer: StartPeer) -> None:
    outcome = exchange(transport, peer(answering(b"HTTP/1.1 two hundred 271828 s3cret\r\n\r\n")).url)

    assert isinstance(outcome, Failure)
    assert "271828" not in f"{outcome} {outcome!r}"


def test_a_request_and_a_reply_show_nothing_of_their_content() -> None:
    shown = f"{request('http://somewhere')!r} {Reply(200, BODY)!r}"

    for hidden in (SECRET, "somewhere", "271828", "X-Token", "text/xml"):
        assert hidden not in shown
