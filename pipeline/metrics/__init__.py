"""What the processes count and show of themselves: one table of names (names.py), one registry per process, one server.

Everybody may import this room; it knows nobody. Use: `metrics.add(Metric.X, amount, label, …)`, per chunk, flush or
request and never per event; the `Metrics` of a process is made where the process is wired.
"""

from pipeline.metrics.names import Metric
from pipeline.metrics.registry import CONTENT_TYPE, UNSEEN, Metrics
from pipeline.metrics.spec import Role

__all__ = ["CONTENT_TYPE", "UNSEEN", "Metric", "Metrics", "Role"]
