"""Money: how an amount is written."""

from decimal import Decimal


def money(amount: Decimal) -> str:
    """An amount as people write it: in cents, or finer if it is."""
    plain = amount.normalize()
    cents = Decimal("0.01")
    return f"{plain.quantize(cents) if plain == round(plain, 2) else plain:f}"
