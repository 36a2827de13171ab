"""One sandbox for most tests, emptied before each; `another` for those that need their own options."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from bulk_dispatch.sandbox.server import Mix, SandboxOptions, Timings, running
from tests.sandbox.customer import Customer

QUICK = Timings(first=0.01, final=(0.03, 0.06), job=0.1)
ALL_DELIVERED = Mix(delivered=1, undeliverable=0, expired=0, rejected=0)

Another = Callable[[SandboxOptions], Customer]


@pytest.fixture(scope="session")
def _shared() -> Iterator[Customer]:
    options = SandboxOptions(mix=ALL_DELIVERED, timings=QUICK, login="shop", password="s3same")
    with running(options) as url:
        customer = Customer(url)
        with customer.http:
            yield customer


@pytest.fixture
def customer(_shared: Customer) -> Customer:
    _shared.http.post("/sandbox/reset").raise_for_status()
    return _shared


@pytest.fixture
def another() -> Iterator[Another]:
    """Starts a sandbox with these options, for this test."""
    with ExitStack() as stack:

        def start(options: SandboxOptions) -> Customer:
            customer = Customer(stack.enter_context(running(options)))
            stack.enter_context(customer.http)
            return customer

        yield start
