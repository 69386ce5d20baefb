"""Prices that held before the ones the base book knows: without them an old call would be priced as if made today.

Each entry says until when it held (that day excluded, UTC). A later entry of one model may follow an earlier one.
"""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from genai_prices.types import ModelPrice


class Earlier(NamedTuple):
    """A price that is no longer valid, USD per million tokens."""

    until: date
    prices: ModelPrice


# (provider, the book's model) -> its earlier prices, oldest first.
EARLIER: dict[tuple[str, str], tuple[Earlier, ...]] = {
    ("openai", "gpt-4o"): (
        Earlier(date(2024, 8, 6), ModelPrice(input_mtok=Decimal(5), output_mtok=Decimal(15))),  # since 2024-05-13
    ),
}
