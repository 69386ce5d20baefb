"""One process's metrics: a registry of its own, so that two roles or two tests in one process do not mix.

Rule: count per chunk, flush or request, with an amount; never per event. One call takes about a microsecond: a look
into a dictionary and a lock. Label values are text, in the order in which the metric names its labels.
How it fails: a metric that the role does not show, or wrong labels, raise at once (KeyError, ValueError): a bug.
"""

from itertools import product

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from pipeline import __version__
from pipeline.metrics.histogram import WeightedHistogram
from pipeline.metrics.names import Metric
from pipeline.metrics.spec import Kind, Role

CONTENT_TYPE = CONTENT_TYPE_LATEST
PROCESS = (  # what ProcessCollector shows beside ours, on Linux
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)

disable_created_metrics()  # a second series for each counter, which nobody asks for

Family = Counter | Gauge | WeightedHistogram


class Metrics:
    """The metrics of a role; without a role all there are, for whoever counts where nobody looks."""

    def __init__(self, role: Role | None = None, instance_id: str = "") -> None:
        self.role = role
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        shown = [metric for metric in Metric if role is None or role in metric.spec.roles]
        self._families = {metric: _family(metric, self._registry) for metric in shown}
        self._series: dict[tuple[str, ...], Counter | Gauge] = {}
        for metric in shown:
            self._begin(metric)
        self.set(Metric.BUILD, 1, __version__, role or "", instance_id)

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """A counter goes up, a gauge up or down."""
        self._of(metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """A gauge has this value now."""
        series = self._of(metric, labels)
        if not isinstance(series, Gauge):
            raise ValueError(f"{metric} is no gauge")
        series.set(value)

    def observe(self, metric: Metric, value: float, *labels: str, count: int = 1) -> None:
        """`count` observations of this value, in a histogram."""
        family = self._families[metric]
        if not isinstance(family, WeightedHistogram) or len(labels) != len(metric.spec.labels):
            raise ValueError(f"{metric} is no histogram with labels {labels}")
        family.observe(value, count, labels)

    def forget(self, metric: Metric, *labels: str) -> None:
        """A series ends, such as a partition's that is somebody else's now. One that never was is fine."""
        family = self._families[metric]
        if isinstance(family, WeightedHistogram):
            family.remove(labels)
        elif self._series.pop((metric, *labels), None) is not None:
            family.remove(*labels)

    def value(self, metric: Metric, *labels: str) -> float:
        """What a series stands at, 0 where there is none: for tests, and for rules that go by what was counted.

        Of a histogram it is the number of observations.
        """
        name = f"{metric}_count" if metric.spec.kind is Kind.HISTOGRAM else metric.value
        return self._registry.get_sample_value(name, dict(zip(metric.spec.labels, labels, strict=True))) or 0.0

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _of(self, metric: Metric, labels: tuple[str, ...]) -> Counter | Gauge:
        key = (metric, *labels)
        series = self._series.get(key)
        if series is None:
            family = self._families[metric]
            if isinstance(family, WeightedHistogram):
                raise ValueError(f"{metric} is a histogram: observe it")
            series = self._series[key] = family.labels(*labels) if metric.spec.labels else family
        return series

    def _begin(self, metric: Metric) -> None:
        """The series whose labels are known, at 0; those without labels begin by themselves."""
        spec, family = metric.spec, self._families[metric]
        if set(spec.values) != set(spec.labels):
            return
        for labels in product(*(spec.values[label] for label in spec.labels)):
            if isinstance(family, WeightedHistogram):
                family.touch(labels)
            elif labels:
                self._of(metric, labels)


def _family(metric: Metric, registry: CollectorRegistry) -> Family:
    spec = metric.spec
    match spec.kind:
        case Kind.COUNTER:
            return Counter(metric.value, spec.help, spec.labels, registry=registry)
        case Kind.GAUGE:
            return Gauge(metric.value, spec.help, spec.labels, registry=registry)
        case Kind.HISTOGRAM:
            histogram = WeightedHistogram(metric.value, spec.help, spec.labels, spec.buckets)
            registry.register(histogram)
            return histogram


UNSEEN = Metrics()
"""For parts that were given no metrics, such as in a benchmark."""
