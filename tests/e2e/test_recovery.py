"""Recovery that is prompt: what a silent network or a stopped process leaves behind comes back."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.monitoring.checks import examine
from bulk_dispatch.monitoring.heartbeat import read_heartbeats
from tests.cli.conftest import Shell
from tests.conftest import Setup
from tests.e2e.conftest import Install, Installation
from tests.factories import message, messages
from tests.faults.proxy import Proxy, Target
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PROMPTLY = 15.0  # seconds after the end of a fault


@dataclass(frozen=True)
class Network:
    """The ways of an installation to its servers, each to be broken by itself."""

    broker: Proxy
    intake: Proxy
    ledger: Proxy

    def through(self, settings: Settings) -> Settings:
        """The same servers, by these ways."""
        ledger = make_url(settings.database_url).difference_update_query(["host"])
        ledger = ledger.set(host="127.0.0.1", port=self.ledger.port)
        return replace(
            settings,
            database_url=ledger.render_as_string(hide_password=False),
            redis_url=f"redis://127.0.0.1:{self.intake.port}/0",
            broker_url=f"redis://127.0.0.1:{self.broker.port}/1",
        )


def _redis(url: str) -> Target:
    parts = urlsplit(url)
    return Path(parts.path) if parts.scheme == "unix" else (str(parts.hostname), parts.port or 6379)


def _postgres(url: str) -> Target:
    address = make_url(url)
    if folder := address.query.get("host"):
        return Path(str(folder)) / ".s.PGSQL.5432"
    return str(address.host), address.port or 5432


@pytest.fixture
def network(servers: Addresses) -> Iterator[Network]:
    """A network that may be broken; the tests themselves look past it."""
    with ExitStack() as stack:
        redis, postgres = _redis(servers.redis_url), _postgres(servers.database_url)
        yield Network(*(stack.enter_context(Proxy(target)) for target in (redis, redis, postgres)))


@pytest.fixture
def behind(setup: Setup, network: Network) -> Setup:
    """A setup whose processes reach their servers by way of the network."""
    return replace(setup, settings=network.through(setup.settings))


def assert_sent(installation: Installation, total: int, within: float) -> None:
    """So many messages were handed to the provider, once each."""
    eventually(lambda: installation.books().by_status.get(Status.SENT, 0) == total, within)
    counts = installation.counts()
    assert (counts["taken"], counts["twice"]) == (total, 0)


class TestASilentNetwork:
    @pytest.fixture
    def setup(self, behind: Setup) -> Setup:
        return behind

    def test_all_goes_on_promptly_though_every_connection_stays_dead(
        self, install: Install, network: Network
    ) -> None:
        installation = install(alpha={"poll_first": "10m", "poll_max": "10m"})
        installation.dispatcher.enqueue(message(1, lane=Lane.URGENT))
        assert_sent(installation, 1, within=10)

        ways = (network.broker, network.intake, network.ledger)
        for way in ways:
            way.silence()
        eventually(lambda: any("wakeup_not_sent" in line for line in installation.log))  # beat felt it too
        for way in ways:
            way.mend("dead")  # as behind a firewall that forgot them: nobody is told

        mended_at = time.monotonic()
        installation.dispatcher.enqueue(message(2, lane=Lane.URGENT))
        installation.intake.add(Lane.BULK, [message(3)])
        assert_sent(installation, 3, within=PROMPTLY - (time.monotonic() - mended_at))


def has_worked(intake: Intake, prefix: str) -> bool:
    """Whether such a process has left a mark of a step that ended."""
    return any(
        heartbeat.node.startswith(prefix) and heartbeat.last_success_at
        for heartbeat in read_heartbeats(intake)[1]
    )


def test_a_stopped_worker_is_unhealthy_until_it_goes_on(install: Install) -> None:
    installation = install(alpha={})
    shell = Shell.at(installation.settings, installation.settings.data_dir)
    poll = installation.supervisor.pids()["poll"]
    eventually(lambda: has_worked(installation.intake, "poll@"))  # else it is found never to have worked

    os.kill(poll, signal.SIGSTOP)
    try:
        eventually(lambda: shell.worker("doctor", "--node", "poll@%h").code == 1, within=40, every=1)
        found = [f for f in examine(installation.settings, patience=0.5) if f.what == "workers"]
        assert shell.worker("doctor", "--node", "bulk@%h").code == 0
        assert shell.worker("doctor", "--node", "beat@%h").code == 0
    finally:
        os.kill(poll, signal.SIGCONT)

    bad = [f.seen for f in found if f.result == "bad" and f.seen.startswith("poll@")]
    assert any("is stalled" in seen or "sends no heartbeat" in seen for seen in bad), (
        found
    )  # between steps, or in one
    eventually(lambda: shell.worker("doctor", "--node", "poll@%h").code == 0, within=10, every=0.2)
    assert {f.result for f in examine(installation.settings) if f.what in ("workers", "beat")} == {"ok"}

    installation.supervisor.stop()
    _, heartbeats = read_heartbeats(installation.intake)
    assert [
        heartbeat.node for heartbeat in heartbeats if not heartbeat.is_beat
    ] == []  # who ends in peace is not missed


def test_a_worker_stopped_with_all_slots_full_has_no_heartbeat_until_it_goes_on(install: Install) -> None:
    installation = install(alpha={"timeout": "60s", "lease": "150s", "package_items": 1, "parallel": 8})
    installation.script({"when": {"command": "message"}, "times": 4, "do": "slow", "seconds": 30})
    shell = Shell.at(installation.settings, installation.settings.data_dir)

    def bulk(what: str) -> object:
        return shell.worker("doctor", "--node", "bulk@%h", "--json").json[what]

    def in_hand() -> int:
        _, heartbeats = read_heartbeats(installation.intake)
        return next(heartbeat.active for heartbeat in heartbeats if heartbeat.node.startswith("bulk@"))

    installation.enqueue(messages(8))
    eventually(lambda: in_hand() == 4, within=20)
    worker = installation.supervisor.pids()["bulk"]
    os.kill(worker, signal.SIGSTOP)
    try:
        assert bulk("healthy")  # nobody can know yet
        eventually(lambda: bulk("state") == "no_heartbeat", within=40, every=1)
        assert not bulk("healthy")
    finally:
        os.kill(worker, signal.SIGCONT)

    eventually(lambda: bulk("healthy"), within=10, every=0.2)
    installation.await_final(8)
    eventually(lambda: bulk("state") == "healthy", within=10, every=0.2)
