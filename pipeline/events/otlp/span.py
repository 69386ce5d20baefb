"""A span as OpenTelemetry means it, whatever encoding it came in: what the mapping looks at.

Times are microseconds since the epoch (OTLP's nanoseconds, cut); ids are lower-case hex. Attribute values are JSON
values: numbers that JSON has no word for are "NaN", "Infinity" and "-Infinity", bytes are base64 text.
"""

from typing import Any, NamedTuple

from pipeline.events.model import Micros

Attributes = dict[str, Any]  # read-only: those of resources and scopes are shared between spans

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
KINDS = {SERVER: "SERVER", CLIENT: "CLIENT", PRODUCER: "PRODUCER", CONSUMER: "CONSUMER"}
ERROR = 2  # of Status.code


class Scope(NamedTuple):
    """The instrumentation that made the span."""

    name: str = ""
    version: str = ""
    attributes: Attributes = {}  # noqa: RUF012 - read-only, see above


class SpanEvent(NamedTuple):
    """A moment within a span; `time` is None where it was not said."""

    name: str
    time: Micros | None
    attributes: Attributes


class Link(NamedTuple):
    """A span of perhaps another trace that this one has to do with."""

    trace_id: str
    span_id: str
    attributes: Attributes


class Span(NamedTuple):
    """One span, its resource and its scope. `start` or `end` is there, or both; a span without `end` is running."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start: Micros | None
    end: Micros | None
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    status: int = 0
    status_message: str = ""
    resource: Attributes = {}  # noqa: RUF012 - read-only, see above
    scope: Scope = Scope()
    content: str = ""  # hash of the bytes of span, resource and scope, hex

    @property
    def at(self) -> Micros:
        """When what the span says was known: its end, else its start."""
        at = self.end if self.end is not None else self.start
        assert at is not None  # noqa: S101  # the readers refuse a span without any time
        return at
