"""What the front door counts; the names are in pipeline/metrics/names.py."""

from pipeline.metrics import Metric, Metrics, Role


class FrontMetrics(Metrics):
    """The metrics of a front door."""

    def __init__(self) -> None:
        super().__init__(Role.INGEST)

    def count_events(self, route: str, *, accepted: int, rejected: int, failed: int) -> None:
        """Add the outcome of one request."""
        for outcome, count in (("accepted", accepted), ("rejected", rejected), ("failed", failed)):
            if count:
                self.add(Metric.INGEST_EVENTS, count, route, outcome)
