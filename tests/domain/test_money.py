"""How an amount of money is written."""

from decimal import Decimal

import pytest

from bulk_dispatch.domain.money import money


@pytest.mark.parametrize(
    ("amount", "written"),
    [("12.5000", "12.50"), ("0.0045", "0.0045"), ("-3", "-3.00"), ("1E+9", "1000000000.00"), ("0", "0.00")],
)
def test_money_is_written_in_cents_or_finer(amount: str, written: str) -> None:
    assert money(Decimal(amount)) == written
