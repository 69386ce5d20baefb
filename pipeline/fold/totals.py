"""What a trace sums up to, kept by differences: each change of an observation costs O(1).

Usage and cost count each observation once; one that repeats a child's usage counts as nothing (`Observation.repeats`).
The first start and the last end are looked for anew only where the observation that held one of them changed it.
"""

from collections.abc import Iterable
from decimal import Decimal

from pipeline.events.model import Micros
from pipeline.events.priced import UNPRICED, Priced
from pipeline.fold.observation import ZERO, Observation, minus, plus

LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")


class Totals:
    """Sums over the observations of one trace."""

    __slots__ = ("_cost", "_costs", "_end", "_levels", "_stale", "_start", "_usage", "_usages", "count", "open")

    def __init__(self) -> None:
        self.count = 0
        self.open = 0
        self._levels = dict.fromkeys(LEVELS, 0)
        self._usage: dict[str, int] = {}
        self._usages: dict[str, int] = {}  # observations that have the key
        self._cost: dict[str, Decimal] = {}
        self._costs: dict[str, int] = {}
        self._start: Micros | None = None
        self._end: Micros | None = None
        self._stale = False

    def take(self, node: Observation, level: str, open_: bool, start: Micros, end: Micros | None) -> None:
        """Set an observation's level, openness, start and end, and count them in place of what it had before."""
        if not node.level:
            self.count += 1
            self._levels[level] += 1
        elif node.level != level:
            self._levels[node.level] -= 1
            self._levels[level] += 1
        if node.open is not open_:
            self.open += 1 if open_ else -1
        self._stale |= (node.start == self._start and start > node.start) or (
            node.end is not None and node.end == self._end and (end is None or end < node.end)
        )
        if self._start is None or start < self._start:
            self._start = start
        if end is not None and (self._end is None or end > self._end):
            self._end = end
        node.level, node.open, node.start, node.end = level, open_, start, end

    def recount(self, node: Observation) -> None:
        """Its usage and cost count as they are now."""
        new = UNPRICED if node.repeats else node.priced
        old = node.counted
        if new is old:
            return
        node.counted = new
        if old is not UNPRICED:
            self._uncount(old)
        if new is not UNPRICED:
            self._count(new)

    def drop(self, node: Observation) -> None:
        """It is no more."""
        self.count -= 1
        self.open -= node.open
        self._levels[node.level] -= 1
        self._uncount(node.counted)
        self._stale = True

    def span(self, nodes: Iterable[Observation]) -> tuple[Micros | None, Micros | None]:
        """First start and last end, microseconds; `nodes` are all observations, looked at only where it must be."""
        if self._stale:
            self._stale = False
            some = list(nodes)
            self._start = min((node.start for node in some), default=None)
            self._end = max((node.end for node in some if node.end is not None), default=None)
        return self._start, self._end

    @property
    def errors(self) -> int:
        """Observations of level ERROR."""
        return self._levels["ERROR"]

    @property
    def level(self) -> str:
        """The highest level of any observation."""
        return next((level for level in reversed(LEVELS) if self._levels[level] > 0), "DEFAULT")

    def usage(self) -> dict[str, int]:
        """Tokens by kind, sorted by name."""
        return dict(sorted(self._usage.items())) if len(self._usage) > 1 else dict(self._usage)

    def cost(self) -> dict[str, Decimal]:
        """USD by kind, sorted by name."""
        return dict(sorted(self._cost.items())) if len(self._cost) > 1 else dict(self._cost)

    def _count(self, priced: Priced) -> None:
        usage, cost = self._usage, self._cost
        for key, count in priced.usage.items():
            usage[key] = usage.get(key, 0) + count
            self._usages[key] = self._usages.get(key, 0) + 1
        for key, amount in priced.cost.items():
            cost[key] = plus(cost.get(key, ZERO), amount)
            self._costs[key] = self._costs.get(key, 0) + 1

    def _uncount(self, priced: Priced) -> None:
        for key, count in priced.usage.items():
            self._usage[key] -= count
            _less(self._usages, self._usage, key)
        for key, amount in priced.cost.items():
            self._cost[key] = minus(self._cost[key], amount)
            _less(self._costs, self._cost, key)


def _less(holders: dict[str, int], sums: dict[str, int] | dict[str, Decimal], key: str) -> None:
    """One observation less has the key; the last one takes it away."""
    holders[key] -= 1
    if not holders[key]:
        del holders[key], sums[key]
