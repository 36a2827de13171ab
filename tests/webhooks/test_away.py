"""The ledger goes away, and a process is killed: nothing is acknowledged that is not ours for ever."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import httpx
import pytest
from sqlalchemy import make_url

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.faults.proxy import Proxy, Target
from tests.ledger.book import Background, Book
from tests.waiting import eventually
from tests.webhooks.world import OPEN, SECRET, World, make_lines, opened

pytestmark = pytest.mark.slow


@dataclass
class Wire:
    """A world with a network between it and its database."""

    world: World
    network: Proxy
    book: Book  # by another way


@contextmanager
def between(database_url: str) -> Iterator[tuple[Proxy, Ledger]]:
    """A network to the database, and a ledger behind it."""
    url = make_url(database_url)
    host, port = str(url.query.get("host") or url.host), url.port or 5432
    target: Target = Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)
    with Proxy(target) as network:
        ledger = Ledger.connect(
            url.set(host="127.0.0.1", port=network.port, query={}).render_as_string(hide_password=False)
        )
        yield network, ledger
        ledger.close()


@pytest.fixture
def wire(ledger: Ledger, database_url: str) -> Iterator[Wire]:
    with between(database_url) as (network, behind), opened(behind, make_lines(**OPEN)) as world:
        yield Wire(world, network, Book(ledger))


def test_away_for_long_nothing_is_acknowledged_and_then_all_is_well(wire: Wire) -> None:
    wire.world.book = wire.book
    [name] = wire.world.sent()
    wire.network.refuse()
    began = time.monotonic()
    said = [wire.world.form(name), wire.world.get("/health")]
    assert [one.status_code for one in said] == [503, 503]
    assert all(int(one.headers["retry-after"]) > 0 for one in said)
    assert 4 <= time.monotonic() - began < 20  # it was tried, and given up before they hang up
    assert wire.world.statuses() == ["sent"]
    wire.network.mend()
    assert wire.world.form(name).status_code == 200
    assert (wire.world.get("/health").status_code, wire.world.statuses()) == (200, ["delivered"])


def test_away_for_a_moment_nobody_notices(wire: Wire) -> None:
    wire.world.book = wire.book
    [name] = wire.world.sent()
    wire.network.refuse()
    calling = Background(lambda: wire.world.form(name).status_code)
    eventually(lambda: wire.network.counts.open == 0, every=0.01)
    wire.network.mend()
    assert calling.result() == 200
    assert wire.world.statuses() == ["delivered"]


def test_a_connection_lost_at_the_commit_leaves_nobody_with_a_false_answer(wire: Wire) -> None:
    """Whether it was committed nobody knows, so it is written again: and is a repeat, or is not."""
    wire.world.book = wire.book
    names = wire.world.sent(30)
    assert wire.world.form("1").status_code == 200  # connected
    for number, name in enumerate(names):
        cut = wire.network.cut_after(number * 40, "down")
        assert wire.world.form(name).status_code == 200
        wire.network.mend()
        assert cut is not None
    assert wire.world.statuses() == ["delivered"] * 30
    assert wire.book.one("SELECT count(*) FROM events WHERE type = 'report'") == 30


def test_a_silent_network_keeps_nobody_waiting(wire: Wire) -> None:
    wire.world.book = wire.book
    [name] = wire.world.sent()
    assert wire.world.get("/health").status_code == 200
    wire.network.silence()
    began = time.monotonic()
    assert wire.world.form(name).status_code == 503
    assert time.monotonic() - began < 10  # the network itself is given up after 11 s
    wire.network.mend()
    eventually(lambda: wire.world.form(name).status_code == 200)
    assert wire.world.statuses() == ["delivered"]


# -- the process killed

ROUTES = f"""
[routes.form]
provider = "smartswitch"
url = "http://127.0.0.1:1"
login = "shop"
password = "secret"
webhook_secret = "{SECRET}"
"""


@dataclass
class Web:
    """`worker web` in a process."""

    process: "subprocess.Popen[str]"
    url: str


@contextmanager
def process(environment: dict[str, str]) -> Iterator[Web]:
    """`worker web`, until it ends by itself or is ended."""
    command = [sys.executable, "-m", "bulk_dispatch", "web", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as web:
        try:
            assert web.stderr is not None
            for line in web.stderr:
                if "Receipts are taken at " in line:
                    break
            else:
                pytest.fail("it did not start")
            yield Web(web, line.partition(" at ")[2].partition("/receipts/")[0])
        finally:
            web.kill()


@pytest.fixture
def environment(servers: Addresses, database_url: str, tmp_path: Path) -> dict[str, str]:
    routes = tmp_path / "routes.toml"
    routes.write_text(ROUTES, "utf-8")
    return {
        **os.environ,
        "WORKER_DATABASE_URL": database_url,
        "WORKER_REDIS_URL": servers.redis_url,
        "WORKER_ROUTES": str(routes),
        "WORKER_LOG_LEVEL": "WARNING",  # nobody reads it while it is at work
    }


def test_killed_between_taking_and_answering_nothing_is_lost(
    ledger: Ledger, environment: dict[str, str]
) -> None:
    """Providers push what was not acknowledged again; what was, they never do. So every acknowledged one must
    be in the book, whenever the process dies; and in the end all of them."""
    world = World(Book(ledger), "", httpx.Client())
    waiting = set(world.sent(1000))
    acknowledged: set[str] = set()
    chance = random.Random(7)
    with world.http:
        for _ in range(3):
            with process(environment) as web:
                acknowledged |= pushed_until_killed(web, world.http, sorted(waiting), chance.randint(20, 150))
            assert acknowledged <= written(world.book)
            waiting -= acknowledged
            assert waiting
        with process(environment) as web:
            again = replace(world, http=httpx.Client(base_url=web.url))
            with again.http:
                assert {again.form(name).status_code for name in waiting} == {200}
    assert len(written(world.book)) == 1000
    assert world.book.one("SELECT count(*) FROM events WHERE type = 'report'") == 1000


def pushed_until_killed(web: Web, http: httpx.Client, names: Sequence[str], least: int) -> set[str]:
    """Many push at once; when so many are acknowledged the process is killed. Returns all that were."""
    acknowledged: set[str] = set()
    enough, over = Event(), Event()

    def push(name: str) -> None:
        if over.is_set():
            return
        with suppress(httpx.TransportError):
            fields = {"message_id": name, "message_state": "delivered"}
            said = http.post(f"{web.url}/receipts/form/{SECRET}", data=fields)
            assert said.status_code == 200
            acknowledged.add(name)
            if len(acknowledged) >= least:
                enough.set()

    with ThreadPoolExecutor(16) as providers:
        calls = [providers.submit(push, name) for name in names]
        assert enough.wait(30)
        os.kill(web.process.pid, signal.SIGKILL)
        over.set()
        for call in calls:
            call.result()
    return acknowledged


def written(book: Book) -> set[str]:
    """The names of those whose receipt is in the book."""
    rows = book.rows(
        "SELECT p.provider_message_id FROM provider_message_ids p JOIN messages m ON m.id = message_id "
        "WHERE status = 'delivered'"
    )
    return {row.provider_message_id for row in rows}


def test_told_to_stop_it_answers_whom_it_has_heard_and_says_nothing_of_secrets(
    ledger: Ledger, environment: dict[str, str]
) -> None:
    world = World(Book(ledger), "", httpx.Client())
    [name] = world.sent()
    with process(environment) as web, ledger.begin() as holding:
        assert web.process.stderr is not None
        holding.exec_driver_sql("SELECT id FROM packages FOR UPDATE")
        world.http = httpx.Client(base_url=web.url)
        with world.http:
            world.form(name, secret="another-secret-of-some-length")
            calling = Background(lambda: world.form(name).status_code)
            eventually(lambda: world.book.waiting_for_a_lock() > 0)
            web.process.terminate()
            holding.commit()
            assert calling.result() == 200
        said = web.process.stderr.read()
        assert web.process.wait(timeout=20) == 0
    assert world.statuses() == ["delivered"]
    assert "receipts_turned_away route=form reason=stranger count=1" in said
    assert SECRET not in said
    assert "secret-of" not in said
    assert name not in said


def test_an_address_that_is_taken_and_a_secret_too_short_are_said_in_a_sentence(
    environment: dict[str, str],
) -> None:
    def fails(*options: str) -> str:
        command = [sys.executable, "-m", "bulk_dispatch", "web", *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    with process(environment) as web:
        assert "cannot listen on" in fails("--port", web.url.rpartition(":")[2])
    routes = Path(environment["WORKER_ROUTES"])
    routes.write_text(ROUTES.replace(SECRET, "shortsecret"), "utf-8")
    said = fails("--port", "0")
    assert "routes.form.webhook_secret must be at least 20" in said
    assert "shortsecret" not in said
