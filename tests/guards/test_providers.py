"""Whoever is in the registry of providers is in everything that is to run over all of them."""

from bulk_dispatch.cli.context import SANDBOX_ROUTES
from bulk_dispatch.providers import PROVIDERS
from tests.faults.provider import PROVIDED, SENDS
from tests.faults.world import ACCOUNTS


def test_the_sandbox_plays_every_provider() -> None:
    assert {provider.name for provider in PROVIDED} == set(PROVIDERS)


def test_the_demo_and_the_fault_matrix_have_a_route_of_every_provider() -> None:
    assert {route["provider"] for route in SANDBOX_ROUTES.values()} == set(PROVIDERS)
    assert {account["provider"] for account in ACCOUNTS.values()} == set(PROVIDERS)


def test_the_faults_meet_every_provider() -> None:
    assert {provider for provider, _ in SENDS} == set(PROVIDERS)
