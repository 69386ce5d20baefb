"""Every metric of Spanfold: name, kind, unit, who shows it, what it says, labels. docs/metrics.md is made from this.

To add one: a line here, `python -m pipeline.metrics > docs/metrics.md`, `metrics.add(Metric.X, …)` where it happens.
Rules, which tests hold: a counter ends in `_total`; a unit of seconds or bytes is in the name; a label never has a
value that strangers can make up (a project, a trace, a path), because each value is a time series.
"""

from enum import StrEnum

from pipeline.metrics.spec import EVERY, SHORT, Role, Spec, counter, gauge, histogram

_INGEST = Role.INGEST


class Metric(StrEnum):
    """A metric is its name, as Prometheus shows it; `spec` has the rest."""

    spec: Spec

    def __new__(cls, name: str, spec: Spec) -> "Metric":
        """A name with what it stands for."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.spec = spec
        return member

    # every process
    BUILD = (
        "spanfold_build_info",
        gauge("1", EVERY, "Always 1; which process this is.", "version", "role", "instance_id"),
    )

    # the front door
    INGEST_EVENTS = (
        "spanfold_ingest_events_total",
        counter("events", _INGEST, "Events: accepted, rejected (4xx) or failed (5xx).", "route", "outcome"),
    )
    INGEST_REQUESTS = (
        "spanfold_ingest_requests_total",
        counter("requests", _INGEST, "Requests by the status of their answer.", "route", "status"),
    )
    INGEST_SECONDS = (
        "spanfold_ingest_request_seconds",
        histogram("seconds", SHORT, _INGEST, "From the first byte of a request to its answer.", "route"),
    )
    INGEST_HELD_BYTES = (
        "spanfold_ingest_held_bytes",
        gauge("bytes", _INGEST, "Bodies of requests that are not answered yet."),
    )
    INGEST_UPLOADS = (
        "spanfold_ingest_media_uploads_total",
        counter("uploads", _INGEST, "Uploads of media, as clients report them.", outcome=("ok", "failed")),
    )
    INGEST_OVERFLOW = (
        "spanfold_ingest_overflow_events_total",
        counter("events", _INGEST, "Events of projects above their share, sent to the overflow topic."),
    )
    INGEST_LAG = (
        "spanfold_ingest_lag_events",
        gauge("events", _INGEST, "How far workers are behind; stays 0 where SPANFOLD_MAX_LAG sets no limit."),
    )
