"""The records of the events topic: the original bytes of an event under the key of its trace, and who brought it."""

from time import time_ns

from pipeline.events import headers, keys
from pipeline.ingest.lanes import Headers, Outgoing


def record_headers(project_id: str, receiver: bytes, content_type: bytes) -> Headers:
    """The headers of every record of a request that arrives now."""
    return [
        (headers.CONTENT_TYPE, content_type),
        (headers.PROJECT, project_id.encode()),
        (headers.RECEIVER, receiver),
        (headers.RECEIVED_AT, b"%d" % (time_ns() // 1000)),
    ]


def record(project_id: str, trace_id: str, value: bytes, common: Headers) -> Outgoing:
    """One event, original bytes, keyed by its trace."""
    return Outgoing(keys.record_key(project_id, trace_id), value, common)
