"""A connection to the ledger behind which the network went silent is given up; a slow statement is not."""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.faults.proxy import Proxy, Target
from tests.waiting import eventually
from worker.ledger import Ledger, LedgerError
from worker.ledger.patience import ForgottenError, PatientConnection, heeded

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
    except ForgottenError:
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


class Hasty(PatientConnection):
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
    except (ForgottenError, LedgerError) as problem:
        return type(problem).__name__
    return "done"


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

        assert ends == ["ForgottenError"]
        assert connection.closed


def test_a_slow_statement_is_waited_for(network: Proxy, address: dict[str, Any]) -> None:
    with Hasty.open(**address, autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(2)")
        assert network.counts.accepted >= 3  # it did ask, twice at least

        assert connection.execute("SELECT 1").fetchone() == (1,)


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
