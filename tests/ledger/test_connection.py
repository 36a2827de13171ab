"""A connection to the ledger behind which the network went silent is given up; a slow statement is not."""

import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import make_url

from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.connection import ConnectionLostError, ProbingConnection, heeded
from tests.faults.proxy import Proxy, Target
from tests.waiting import eventually

# -- the rule


def statement() -> Generator[str, Any, str]:
    """Steps as psycopg makes them: they go on waiting until something came."""
    while not (yield "read"):
        pass
    return "the answer"


def waited(seconds: int, says: Callable[[float], bool | None], answer_at: float = 1000) -> tuple[str, int]:
    """What comes of a statement, looked at once a second, and how often the server was asked."""
    now, asked = [0.0], [0]

    def is_forgotten() -> bool | None:
        asked[0] += 1
        return says(now[0])

    steps = heeded(statement(), is_forgotten, silence=5, again=1, clock=lambda: now[0])
    next(steps)
    try:
        while now[0] < seconds:
            now[0] += 1
            steps.send(now[0] >= answer_at)
    except StopIteration as end:
        return end.value, asked[0]
    except ConnectionLostError:
        return f"given up at {now[0]:g}", asked[0]
    return "waiting", asked[0]


@pytest.mark.parametrize(
    ("says", "answer_at", "becomes"),
    [
        pytest.param(lambda _: True, 4, ("the answer", 0), id="a prompt answer: nobody is asked"),
        pytest.param(lambda _: False, 30, ("the answer", 5), id="a slow statement: waited for"),
        pytest.param(lambda _: True, 1000, ("given up at 6", 2), id="forgotten: given up when said twice"),
        pytest.param(lambda _: True, 6, ("the answer", 1), id="the answer was under way when we asked"),
        pytest.param(lambda _: None, 1000, ("waiting", 36), id="a server that cannot be asked says nothing"),
        pytest.param(
            lambda now: None if now < 20 else True, 1000, ("given up at 21", 17), id="until it can be asked"
        ),
        pytest.param(lambda now: now != 6, 1000, ("given up at 12", 4), id="at work again: counted anew"),
    ],
)
def test_who_waits_asks_and_gives_up_only_what_is_forgotten(
    says: Callable[[float], bool | None], answer_at: float, becomes: tuple[str, int]
) -> None:
    assert waited(40, says, answer_at) == becomes


# -- a real network


class Hasty(ProbingConnection):
    """Asks soon."""

    silence = 0.5
    again = 0.2


def where(url: str) -> Target:
    """What a proxy in front of the database connects to."""
    address = make_url(url)
    if folder := address.query.get("host"):
        return Path(str(folder)) / ".s.PGSQL.5432"
    return str(address.host), address.port or 5432


@pytest.fixture
def network(database_url: str) -> Iterator[Proxy]:
    with Proxy(where(database_url)) as proxy:
        yield proxy


@pytest.fixture
def address(network: Proxy, database_url: str) -> dict[str, Any]:
    """The database by way of the network."""
    own = make_url(database_url)
    password = {"password": own.password} if own.password else {}
    return {
        "host": "127.0.0.1",
        "port": network.port,
        "user": own.username,
        "dbname": own.database,
        **password,
    }


def told(work: Callable[[], object]) -> str:
    """How a piece of work ended."""
    try:
        work()
    except (ConnectionLostError, LedgerError) as problem:
        return type(problem).__name__
    return "done"


@pytest.mark.slow
def test_a_statement_swallowed_by_a_silent_network_is_given_up_when_the_server_can_be_asked(
    network: Proxy, address: dict[str, Any]
) -> None:
    with Hasty.open(**address, autocommit=True) as connection:
        network.silence()
        ends: list[str] = []
        waiting = Thread(target=lambda: ends.append(told(lambda: connection.execute("SELECT 1"))))
        waiting.start()
        eventually(lambda: network.counts.open >= 2)  # it asks, in vain
        assert not ends
        network.mend("dead")
        waiting.join(10)

        assert ends == ["ConnectionLostError"]
        assert connection.closed


@pytest.mark.slow
def test_a_slow_statement_is_waited_for(network: Proxy, address: dict[str, Any]) -> None:
    with Hasty.open(**address, autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(2)")
        assert network.counts.accepted >= 3  # it did ask, twice at least

        assert connection.execute("SELECT 1").fetchone() == (1,)


# -- a pooler between


class Pooler:
    """Stands before the database as PgBouncer does: the process ids its clients are given are made up.

    `hears`: of how many connections it passes on what is said after the greeting.
    """

    def __init__(self, to_status: Target, hears: int = 1000) -> None:
        self._target = to_status
        self._hears = hears
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.accepted = 0
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX if isinstance(self._target, Path) else socket.AF_INET)
                server.connect(str(self._target) if isinstance(self._target, Path) else self._target)
                self.accepted += 1
                greeted = Event()
                silent = self.accepted > self._hears
                Thread(target=self._down, args=(server, client, greeted), daemon=True).start()
                Thread(target=self._up, args=(client, server, greeted, silent), daemon=True).start()

    def _down(self, server: socket.socket, client: socket.socket, greeted: Event) -> None:
        with suppress(OSError), server, client:
            while said := server.recv(65536):
                if not greeted.is_set() and (key := said.find(KEY)) >= 0:
                    greeted.set()
                    place = key + len(KEY)
                    said = said[:place] + MADE_UP + said[place + 4 :]
                client.sendall(said)

    def _up(self, client: socket.socket, server: socket.socket, greeted: Event, silent: bool) -> None:
        with suppress(OSError), client, server:
            while said := client.recv(65536):
                if not (silent and greeted.is_set()):
                    server.sendall(said)


KEY = b"K\x00\x00\x00\x0c"  # BackendKeyData: a process id and a secret follow
MADE_UP = (2**30).to_bytes(4)  # no system of ours counts so far


@pytest.fixture
def pooled(database_url: str, address: dict[str, Any]) -> Iterator[Callable[..., dict[str, Any]]]:
    """The database by way of a pooler."""
    with ExitStack() as stack:

        def start(**options: int) -> dict[str, Any]:
            pooler = stack.enter_context(closing(Pooler(where(database_url), **options)))
            return {**address, "port": pooler.port}

        yield start


@pytest.mark.slow
def test_behind_a_pooler_nothing_is_given_up(pooled: Callable[..., dict[str, Any]]) -> None:
    with Hasty.open(**pooled(), autocommit=True) as connection:
        assert connection.info.backend_pid == 2**30

        connection.execute("SELECT pg_sleep(2)")


@pytest.mark.slow
def test_a_question_without_an_answer_is_given_up_and_the_statement_is_not(
    pooled: Callable[..., dict[str, Any]],
) -> None:
    ends: list[str] = []
    connection = Hasty.open(**pooled(hears=1), autocommit=True)
    asked = Thread(
        target=lambda: ends.append(told(lambda: connection.execute("SELECT pg_sleep(1)"))), daemon=True
    )
    asked.start()
    asked.join(15)

    assert ends == ["done"]  # only then: closing would wait for the question too
    connection.close()


# -- a ledger


@pytest.mark.slow
def test_a_ledger_behind_a_network_that_swallowed_its_connections_is_back_in_seconds(
    network: Proxy, database_url: str
) -> None:
    url = make_url(database_url).difference_update_query(["host"])
    ledger = Ledger.connect(
        url.set(host="127.0.0.1", port=network.port).render_as_string(hide_password=False)
    )
    with ledger.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    network.silence()
    network.mend("dead")  # over already, and the connection in the pool is dead for ever

    mended_at = time.monotonic()
    with ledger.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    ledger.close()

    assert time.monotonic() - mended_at < 10
