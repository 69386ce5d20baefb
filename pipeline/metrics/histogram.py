"""A histogram that takes many observations of one value at once: a chunk of 4,000 records costs what one record costs.

It is a collector as prometheus_client knows them; what it shows is what that library's own histogram shows.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class _Series:
    """The counts of one combination of label values."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)  # one more for what is above all bounds
        self.total = 0.0


class WeightedHistogram(Collector):
    """Counts by upper bounds (rising). Written by one thread and read by another."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._help, self._labels, self._bounds = name, text, labels, bounds
        self._series: dict[tuple[str, ...], _Series] = {}
        self._lock = Lock()

    def touch(self, labels: tuple[str, ...]) -> None:
        """Have a series, at 0."""
        with self._lock:
            self._series.setdefault(labels, _Series(len(self._bounds)))

    def observe(self, value: float, count: int, labels: tuple[str, ...]) -> None:
        """`count` observations of one value."""
        at = bisect_left(self._bounds, value)
        with self._lock:
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = _Series(len(self._bounds))
            series.counts[at] += count
            series.total += value * count

    def remove(self, labels: tuple[str, ...]) -> None:
        """Forget a series; one that is not there is fine."""
        with self._lock:
            self._series.pop(labels, None)

    def collect(self) -> Iterator[Metric]:
        """All series, buckets cumulative."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        with self._lock:
            for labels, series in self._series.items():
                buckets, below = [], 0
                for bound, count in zip((*map(str, self._bounds), "+Inf"), series.counts, strict=True):
                    below += count
                    buckets.append((bound, float(below)))
                family.add_metric(labels, buckets, series.total)
        yield family

    def describe(self) -> Iterator[Metric]:
        """The family without its series, which is what a registry asks for."""
        yield HistogramMetricFamily(self._name, self._help, labels=self._labels)
