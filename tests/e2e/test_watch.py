"""Beat has the accounts looked at: once as it starts, and then now and then."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from tests.e2e.conftest import Install, Installation
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def seen(installation: Installation) -> Any:
    with installation.ledger.begin() as connection:
        return connection.execute(
            text("SELECT balance, clock_skew, balance_at FROM routes WHERE name = 'alpha'")
        ).one_or_none()


def test_money_and_clock_are_looked_at_as_beat_starts_and_again(install: Install) -> None:
    installation = install(
        alpha={
            "provider": "webcom-xml",
            "token": "sandbox-key",
            "balance_warn_below": 2_000_000_000,
            "balance_interval": "1s",
            "in_doubt": "repeat",
        }
    )

    eventually(lambda: (row := seen(installation)) is not None and row.balance_at is not None, within=30)
    first = seen(installation)
    assert first.balance == Decimal(1_000_000_000)
    assert abs(first.clock_skew.total_seconds()) < 60
    eventually(lambda: seen(installation).balance_at > first.balance_at, within=15)
    assert any("balance_low route=alpha balance=" in line for line in installation.log)
