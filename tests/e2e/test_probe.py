"""`worker probe` beside a real installation, for every dialect: all of its messages arrive, once each."""

import httpx
import pytest

from bulk_dispatch.domain.status import FINAL
from tests.cli.conftest import Shell
from tests.e2e.conftest import Installation

pytestmark = pytest.mark.slow

ROUTES = ("alpha", "plain", "webcom", "switch")
"""A route for each dialect."""

NO_END = "switch"
"""Its states come as receipts only, and nobody takes them here."""


def test_given_an_installation_when_each_route_is_probed_then_all_arrive_once_and_their_ends_are_told(
    installation: Installation,
) -> None:
    shell = Shell.at(installation.settings, installation.settings.data_dir)

    for route in ROUTES:
        wait = "3" if route == NO_END else "60"
        ran = shell.worker("probe", route, "--to", "+380931110001", "--yes", "--wait", wait, "--json")

        statuses = {one["name"]: one["status"] for one in ran.json["messages"]}
        assert ran.code == 0, (route, ran.json["messages"], ran.err)
        assert ran.json["sent"] == len(statuses) > 5
        assert set(statuses.values()) <= ({"sent"} if route == NO_END else set(FINAL)), route
        assert all(f"{name}: {status}" in ran.err for name, status in statuses.items())
        [long] = [one for one in ran.json["messages"] if one["name"] == "two-segments"]
        assert long["segments_billed"] == 2
        provider = ran.json["provider"]
        counts = httpx.get(f"{installation.url}/sandbox/counts", params={"provider": provider}).json()
        assert (counts["taken"], counts["twice"], counts["refused"]) == (len(statuses), 0, 0)
    assert not installation.books().unbalanced
