"""Who may bring receipts, and how many: what stands in the routes file is checked at the start."""

import re
from dataclasses import replace
from typing import cast

import pytest

from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.providers.interface import Dialect
from bulk_dispatch.webhooks.access import Bucket, authenticate, endpoints
from tests.webhooks.world import SECRET, Table, make_lines


@pytest.mark.parametrize(
    "secret",
    ["short", SECRET[:19], f"{SECRET}/x", f"{SECRET} ", f"{SECRET}é", f"{SECRET}%41", "." * 30],
)
def test_a_secret_that_can_be_guessed_or_misread_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(
        SettingsError, match=r"routes\.form\.webhook_secret must be at least 20 letters"
    ) as problem:
        endpoints(make_lines(form={"webhook_secret": secret}))
    assert secret not in str(problem.value)


@pytest.mark.parametrize("given", ["nowhere", "10.0.0.0/33", "10.0.0.1,,x", "10.0.0.1; 10.0.0.2"])
def test_addresses_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(repr(given))):
        endpoints(make_lines(form={"webhook_allow_from": given}))


def test_a_provider_that_brings_none_is_refused() -> None:
    lines = make_lines(form={})
    silent = replace(lines["form"], dialect=cast("Dialect", object()))
    with pytest.raises(SettingsError, match=r"routes\.form\.webhook_secret: smartswitch brings none"):
        endpoints({"form": silent})


@pytest.mark.parametrize(
    ("table", "found"),
    [({"webhook_secret": ""}, set()), ({"webhook_secret": "A-z_0" * 4}, {"form"}), ({}, {"form"})],
)
def test_only_who_has_a_secret_has_an_entrance(table: Table, found: set[str]) -> None:
    assert endpoints(make_lines(form=table)).keys() == found


def test_no_two_doors_open_by_one_mistake() -> None:
    found = endpoints(make_lines(form={}, other={"login": "other", "webhook_secret": SECRET[::-1]}))
    assert authenticate(found, "form", SECRET, "") is found["form"]
    assert authenticate(found, "other", SECRET, "") is None
    assert authenticate({}, "form", SECRET, "") is None
    assert SECRET not in repr(found)


def test_a_bucket_fills_by_the_clock_and_holds_a_second() -> None:
    now = [0.0]
    bucket = Bucket(10, clock=lambda: now[0])
    bucket.spend(9)
    assert bucket.wait() == 0
    bucket.spend(36)  # what was let in may be more than there was
    assert bucket.wait() == 4
    now[0] = 3.4
    assert bucket.wait() == 1
    now[0] = 3.6
    assert bucket.wait() == 0
    now[0] = 1000
    bucket.wait()
    bucket.spend(10)
    assert bucket.wait() == 1
