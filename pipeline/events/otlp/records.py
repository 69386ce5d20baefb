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
from pipeline.events.reasons import DecodeError, Reason

MAX_ARCHIVED = 128 * 2**20  # bytes that a record may take in the archive, which keeps it once for each of its spans


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
    return _events(project_id, SPLIT[content_type](body))


def record_events(project_id: str, content_type: bytes, value: bytes) -> list[Event]:
    """As `otlp_events`, for the value of a record: many spans in a large one are refused (TOO_LARGE)."""
    pieces = SPLIT[content_type](value)
    if len(pieces) * len(value) > MAX_ARCHIVED:
        raise DecodeError(
            Reason.TOO_LARGE, f"{len(pieces)} spans in a record of {len(value)} bytes: write one span per record"
        )
    return _events(project_id, pieces)


def _events(project_id: str, pieces: Sequence[Piece]) -> list[Event]:
    return [event for piece in pieces for event in span_events(project_id, piece.read())]
