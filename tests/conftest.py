"""What tests stand on: real servers, an empty database, a sandbox over real HTTP.

By default the servers are the embedded ones. WORKER_TEST_DATABASE_URL and WORKER_TEST_REDIS_URL point the
suite at others (a PostgreSQL that may create databases, and a Redis whose databases 0 and 1 may be emptied).
"""

import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from bulk_dispatch.config.server_urls import next_database
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import upgrade
from bulk_dispatch.ledger.schema import metadata
from bulk_dispatch.local.servers.ephemeral import throwaway
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.runtime import Notify, Runtime, no_notify
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.server import running
from tests.faults.proxy import Proxy, Target

hypothesis.settings.register_profile("few", deadline=None, max_examples=10)  # others use this machine too
hypothesis.settings.register_profile("many", deadline=None, max_examples=100)  # for the slow half
hypothesis.settings.load_profile("few")  # unless --hypothesis-profile names the other

COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""All tests that were found, before some of them are chosen by their marks."""

TEMPLATE = "worker_template"
LARGE = 2**20  # bytes of a table that is truncated
_numbers = itertools.count(1)


@pytest.hookimpl(optionalhook=True)  # of xdist, without which the tests run too
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core that we may use, and two at least; of quick tests, which often wait, two more.
    The slow ones start so many processes that more of them at once would run into their time-outs."""
    cores = len(os.sched_getaffinity(0))
    return cores + 2 if config.getoption("markexpr") == "not slow" else max(2, cores)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """See COLLECTED."""
    config.stash[COLLECTED] = list(items)


def pytest_collection_finish() -> None:
    """All that was collected stays until the end."""
    tune_gc()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for servers. pytest closes its own to others whenever it starts anew, and as root
    PostgreSQL runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix="worker-test-", ignore_cleanup_errors=True) as path:
        yield Path(path)


DATABASE, REDIS = (os.environ.get(f"WORKER_TEST_{name}_URL") for name in ("DATABASE", "REDIS"))
SERVERS_ARE_GIVEN = bool(DATABASE and REDIS)


@contextmanager
def server_pair() -> Iterator[Addresses]:
    """The PostgreSQL and the Redis that are given, else embedded ones for as long as it lasts."""
    if DATABASE and REDIS:
        yield Addresses(DATABASE, REDIS, next_database(REDIS))
        return
    with (
        tempfile.TemporaryDirectory(prefix="worker-test-", ignore_cleanup_errors=True) as path,
        throwaway(Path(path)) as (_, addresses),
    ):
        yield addresses


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """A PostgreSQL and a Redis for this test process."""
    with server_pair() as addresses:
        yield addresses


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _administer(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@contextmanager
def database(servers: Addresses, room: str, template: str = "template1") -> Iterator[str]:
    """A database of this process, while it lasts: a copy of the template. Its URL."""
    name = f"worker_{room}_{os.getpid()}_{next(_numbers)}"
    _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(servers.database_url, name)
    _administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class SharedDatabase:
    """A database that all tests of this process use, one after the other, emptied before each."""

    url: str
    ledger: (
        Ledger  # kept with its connections: each new one has the catalog to read, and its statements to plan
    )
    _connection: Connection

    def emptied(self, statement: str) -> str:
        """Run this statement once nobody is in the midst of anything; the URL.

        What an earlier test left open, or a process that it killed, would hold locks.
        """
        self._connection.exec_driver_sql(_DISCONNECT)
        self._connection.exec_driver_sql(statement)
        return self.url


_DISCONNECT = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle'
      AND pid <> pg_backend_pid()
"""

_DELETE_ROWS = "".join(
    f"""
    IF pg_relation_size('{table}') > {LARGE} THEN TRUNCATE {table}; ELSE DELETE FROM {table}; END IF;"""
    for table in metadata.tables
)
DELETE_ROWS = f"DO $$ BEGIN {_DELETE_ROWS} END $$"
"""Many times as fast as TRUNCATE alone, which makes a new file for each table and each index. A table that
has grown is truncated all the same: rows that were deleted are still to be read over."""

DROP_TABLES = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


@contextmanager
def shared_database(servers: Addresses, room: str, template: str = "template1") -> Iterator[SharedDatabase]:
    """A database for many tests, while it lasts."""
    with database(servers, room, template) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection, closing(Ledger.connect(url)) as ledger:
            yield SharedDatabase(url, ledger, connection)
        engine.dispose()


@pytest.fixture(scope="session")
def template(servers: Addresses) -> str:
    """A migrated database to copy; the migrations are the only way to a schema."""
    _administer(servers.database_url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    with closing(Ledger.connect(_named(servers.database_url, TEMPLATE))) as ledger:
        upgrade(ledger)
    return TEMPLATE


@pytest.fixture(scope="session")
def _migrated(servers: Addresses, template: str) -> Iterator[SharedDatabase]:
    with shared_database(servers, "test", template) as shared:
        yield shared


@pytest.fixture(scope="session")
def _bare(servers: Addresses) -> Iterator[SharedDatabase]:
    with shared_database(servers, "bare") as shared:
        yield shared


@pytest.fixture
def database_url(_migrated: SharedDatabase) -> str:
    """A migrated, empty database. A test that changes its schema takes `own_database_url`."""
    return _migrated.emptied(DELETE_ROWS)


@pytest.fixture
def bare_url(_bare: SharedDatabase) -> str:
    """A database without tables: nobody has migrated it."""
    return _bare.emptied(DROP_TABLES)


@pytest.fixture
def own_database_url(servers: Addresses, template: str) -> Iterator[str]:
    """A migrated, empty database of this test's own, whose schema it may change."""
    with database(servers, "own", template) as url:
        yield url


@pytest.fixture
def ledger(database_url: str, _migrated: SharedDatabase) -> Iterator[Ledger]:
    """The book, empty. Its connections go on to the next test, but where a test has a database of its own."""
    if database_url == _migrated.url:
        yield _migrated.ledger
        return
    with closing(Ledger.connect(database_url)) as ledger:
        yield ledger


@pytest.fixture
def intake(servers: Addresses) -> Iterator[Intake]:
    """The streams, empty; the broker's database too."""
    intake = Intake.connect(servers.redis_url)
    intake.client.flushall()
    yield intake
    intake.close()


@pytest.fixture
def sandbox() -> Iterator[str]:
    """A sandbox with swift people; its base URL."""
    with running(SWIFT) as url:
        yield url


SWIFT = SandboxOptions(key="test-key")


@dataclass(frozen=True)
class Setup:
    """Writes routes files and opens runtimes; what it opens is closed at the end of the test."""

    settings: Settings
    folder: Path
    opened: list[Runtime]

    def routes(self, **tables: dict[str, object]) -> Settings:
        """Settings with these routes: name to table. A table without a provider gets alphasms-xml."""
        path = self.folder / "routes.toml"
        path.write_text("\n".join(_toml(name, table) for name, table in tables.items()), "utf-8")
        return replace(self.settings, routes=path)

    def runtime(self, *, notify: Notify = no_notify, **tables: dict[str, object]) -> Runtime:
        """A runtime for these routes; see `routes`."""
        runtime = Runtime.open(self.routes(**tables), notify=notify)
        self.opened.append(runtime)
        return runtime


def _toml(name: str, table: dict[str, object]) -> str:
    whole = {"provider": "alphasms-xml", "key": "test-key", **table}
    lines = [f"{key} = {json.dumps(value)}" for key, value in whole.items()]
    return "\n".join([f"[routes.{name}]", *lines, ""])


@pytest.fixture
def setup(servers: Addresses, database_url: str, intake: Intake, tmp_path: Path) -> Iterator[Setup]:
    """Everything a stage needs, on this test's own database and empty streams."""
    settings = Settings(
        database_url=database_url,
        redis_url=servers.redis_url,
        broker_url=servers.broker_url,
        routes=tmp_path / "routes.toml",
        data_dir=tmp_path,
    )
    setup = Setup(settings, tmp_path, [])
    yield setup
    for runtime in setup.opened:
        runtime.close()


@pytest.fixture
def proxy(servers: Addresses, intake: Intake) -> Iterator[Proxy]:
    """The network to Redis, which is empty."""
    parts = urlsplit(servers.redis_url)
    target: Target = Path(parts.path) if parts.scheme == "unix" else (str(parts.hostname), parts.port or 6379)
    with Proxy(target) as proxy:
        yield proxy
