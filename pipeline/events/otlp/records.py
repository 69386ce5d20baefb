"""Records of OTLP on Kafka to events, and exports to records: what the front door and the worker share.

The front door writes one span per record, so that a span that is broken, too large or exported twice concerns no other.
A producer that writes OTLP itself may put several spans of one trace into a record.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.events import headers
from pipeline.events.model import Event
from pipeline.events.otlp import json_text, protobuf
from pipeline.events.otlp.events import span_events
from pipeline.events.otlp.span import Span


class Piece(Protocol):
    """One span of an export, not decoded yet."""

    def record(self) -> bytes:
        """The export of this span alone, its surroundings kept."""

    def read(self) -> Span:
        """The span. Raises DecodeError."""


SPLIT: dict[bytes, Callable[[bytes], Sequence[Piece]]] = {
    headers.OTLP_PROTOBUF: protobuf.split,
    headers.OTLP_JSON: json_text.split,
}


def otlp_events(project_id: str, content_type: bytes, body: bytes) -> list[Event]:
    """The events of all spans of an export. Raises DecodeError, for the whole of it, where any span is broken."""
    return [event for piece in SPLIT[content_type](body) for event in span_events(project_id, piece.read())]
