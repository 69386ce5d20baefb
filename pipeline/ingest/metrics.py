"""What the front door counts, for `GET /metrics`. A name is a member of `Metric`; its comment is its documentation."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metric(StrEnum):
    """Names, as Prometheus shows them."""

    EVENTS = "spanfold_ingest_events_total"  # events by route and outcome: accepted, rejected (4xx), failed (5xx)
    REQUESTS = "spanfold_ingest_requests_total"  # requests by route and status
    SECONDS = "spanfold_ingest_request_seconds"  # time from the first byte of a request to its answer, by route
    HELD_BYTES = "spanfold_ingest_held_bytes"  # bytes of bodies whose requests are not answered yet
    UPLOADS = "spanfold_ingest_media_uploads_total"  # uploads of media by outcome, as clients report them
    OVERFLOW = "spanfold_ingest_overflow_events_total"  # events of projects above their share, sent to the overflow
    LAG = "spanfold_ingest_lag_events"  # how far the workers are behind; stays 0 where SPANFOLD_MAX_LAG sets no limit


class Metrics:
    """One set of counters, in a registry of its own: two apps in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_cpu_seconds_total, process_resident_memory_bytes, …
        self.events = Counter(Metric.EVENTS, "Events by outcome.", ("route", "outcome"), registry=self.registry)
        self.requests = Counter(Metric.REQUESTS, "Requests by status.", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            Metric.SECONDS, "Seconds per request.", ("route",), registry=self.registry, buckets=_SECONDS
        )
        self.held_bytes = Gauge(Metric.HELD_BYTES, "Bytes of unanswered requests.", registry=self.registry)
        self.uploads = Counter(Metric.UPLOADS, "Uploads of media.", ("outcome",), registry=self.registry)
        self.overflow = Counter(Metric.OVERFLOW, "Events sent to the overflow topic.", registry=self.registry)
        self.lag = Gauge(Metric.LAG, "Events that workers are behind.", registry=self.registry)

    def count_events(self, route: str, *, accepted: int, rejected: int, failed: int) -> None:
        """Add the outcome of one request."""
        for outcome, count in (("accepted", accepted), ("rejected", rejected), ("failed", failed)):
            if count:
                self.events.labels(route, outcome).inc(count)
