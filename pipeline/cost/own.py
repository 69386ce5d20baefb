"""Rates from prices that people wrote with canonical usage keys."""

from collections.abc import Sequence
from decimal import Decimal

from pipeline.cost.document import Prices, PriceTier
from pipeline.cost.rates import Rates, Tiered, Unit, make_rates, make_unit, with_fallbacks

PER_MILLION = 10**6


def rates_of(prices: Prices, tiers: Sequence[PriceTier] = (), factor: Decimal = Decimal(1)) -> Rates:
    """Compiled rates. A tier that does not name a kind leaves its price as it is below the tier."""
    own: dict[str, Unit | Tiered] = dict(_units(prices, factor))
    for tier in sorted(tiers, key=lambda tier: tier.above):
        for key, unit in _units(tier, factor).items():
            base = own.get(key)
            if isinstance(base, Tiered):
                own[key] = Tiered(base.base, (*base.tiers, (tier.above, unit)))
            else:
                own[key] = Tiered(base or unit, ((tier.above, unit),))
    return make_rates(dict(with_fallbacks(own)))


def _units(prices: Prices, factor: Decimal) -> dict[str, Unit]:
    return {
        **{key: make_unit(amount, PER_MILLION, factor) for key, amount in prices.per_million.items()},
        **{key: make_unit(amount, 1, factor) for key, amount in prices.per_unit.items()},
    }
