"""Worlds for the stages: one kind provider for most tests, emptied before each; others on demand."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.server import running
from tests.conftest import Setup
from tests.stages.world import KIND, ROUTES, OpenWorld, Provider, World


@pytest.fixture(scope="session")
def _kind_provider() -> Iterator[Provider]:
    with running(KIND) as url:
        provider = Provider(url)
        yield provider
        provider.close()


@pytest.fixture
def open_world(setup: Setup, _kind_provider: Provider) -> Iterator[OpenWorld]:
    """Opens worlds: routes alpha (sync), beta (async) and whichever others of ROUTES are named, with these
    changes to each table.

    `provider` are the options of a sandbox of its own; without them it is the kind one. Whatever a test does
    in a world, at its end nothing may have been sent twice, and the books must balance.
    """
    _kind_provider.reset()
    opened: list[World] = []
    with ExitStack() as stack:

        def start(options: SandboxOptions) -> Provider:
            provider = Provider(stack.enter_context(running(options)))
            stack.callback(provider.close)
            return provider

        def open_one(*, provider: SandboxOptions | None = None, **changes: dict[str, object]) -> World:
            at = start(provider) if provider else _kind_provider
            notified: list[tuple[str, str] | tuple[str, str, float]] = []

            def notify(stage: str, name: str, after: float = 0.0) -> None:
                notified.append((stage, name, after) if after else (stage, name))

            tables = {
                name: {"url": at.url, **ROUTES[name], **changes.get(name, {})}
                for name in dict.fromkeys(("alpha", "beta", *changes))
            }
            runtime = setup.runtime(notify=notify, **tables)
            opened.append(World(replace(runtime, chance=lambda: 0.5), at, notified))
            return opened[-1]

        yield open_one
        for world in opened:
            world.promise_holds()


@pytest.fixture
def world(open_world: OpenWorld) -> World:
    """A world in which nothing goes wrong unless scripted."""
    return open_world()
