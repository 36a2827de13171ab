"""Beat ends in order, whatever it is doing when it is told to."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bulk_dispatch.local.processes.spec import ExitRecord
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.messaging.inspection import waiting
from tests.conftest import Setup
from tests.e2e.conftest import Install, Installation
from tests.faults.proxy import Proxy, Target
from tests.waiting import eventually

pytestmark = pytest.mark.slow

IN_ORDER = ExitRecord("beat", 0, killed=False)


@pytest.fixture
def proxy(servers: Addresses) -> Iterator[Proxy]:
    """The way to the broker."""
    parts = urlsplit(servers.redis_url)
    target: Target = Path(parts.path) if parts.scheme == "unix" else (str(parts.hostname), parts.port or 6379)
    with Proxy(target) as proxy:
        yield proxy


@pytest.fixture
def setup(setup: Setup, proxy: Proxy) -> Setup:
    return replace(setup, settings=replace(setup.settings, broker_url=f"redis://127.0.0.1:{proxy.port}/1"))


@pytest.fixture
def alone(install: Install) -> Installation:
    """Beat without workers; it has scheduled tasks."""
    installation = install(without=("urgent", "bulk", "poll"), alpha={})
    app = celery_app(installation.settings.broker_url)
    eventually(lambda: waiting(app)["poll"])
    app.close()
    return installation


def ended(installation: Installation) -> tuple[ExitRecord, list[str]]:
    """How beat ended, and what of a traceback it printed."""
    endings = installation.supervisor.stop()
    [ending] = [one for one in endings if one.name == "beat"]
    return ending, [line for line in installation.log if "Traceback" in line or "closed file" in line]


def test_given_beat_between_two_ticks_when_it_is_told_to_end_then_it_does_so_without_a_word(
    alone: Installation,
) -> None:
    assert ended(alone) == (IN_ORDER, [])


def test_given_beat_amid_a_command_when_it_is_told_to_end_then_it_does_so_without_a_word(
    alone: Installation, proxy: Proxy
) -> None:
    proxy.silence()
    time.sleep(1.5)  # longer than between two ticks, shorter than it waits for an answer

    assert ended(alone) == (IN_ORDER, [])


def test_given_beat_without_a_broker_when_it_is_told_to_end_then_it_does_so_without_a_word(
    alone: Installation, proxy: Proxy
) -> None:
    proxy.refuse()
    eventually(lambda: any("wakeup_not_sent" in line for line in alone.log))

    assert ended(alone) == (IN_ORDER, [])
