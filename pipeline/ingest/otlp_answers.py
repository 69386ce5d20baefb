"""Answers of OTLP, in the encoding of the request: what was taken, or google.rpc.Status for what was not.

Source: opentelemetry.io, OTLP specification 1.x, "OTLP/HTTP Response", "Partial Success"; google/rpc/status.proto.
"""

from typing import Any

import orjson
from starlette.responses import Response

from pipeline.events.otlp.wire import message_field, number_field
from pipeline.ingest.answers import ApiError
from pipeline.ingest.otlp_export import Taken

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

# HTTP status -> google.rpc.Code; a client sends again what is UNAVAILABLE, and RESOURCE_EXHAUSTED with a time to wait.
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 3, 415: 3, 429: 8, 500: 13, 501: 12, 503: 14}
_UNKNOWN = 2
_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def taken_message(taken: Taken) -> bytes:
    """ExportTraceServiceResponse: empty where all is stored."""
    if not taken.rejected:
        return b""
    partial = number_field(1, taken.rejected) + message_field(2, taken.message.encode())
    return message_field(1, partial)


def taken_answer(taken: Taken, content_type: str) -> Response:
    """200, with partial success where spans were rejected."""
    if content_type == PROTOBUF:
        return Response(taken_message(taken), media_type=PROTOBUF)
    body: dict[str, Any] = {}
    if taken.rejected:
        body["partialSuccess"] = {"rejectedSpans": str(taken.rejected), "errorMessage": taken.message}
    return Response(orjson.dumps(body), media_type=JSON)


def code_of(error: ApiError) -> int:
    """google.rpc.Code."""
    return CODES.get(error.status, _UNKNOWN)


def status_message(error: ApiError) -> bytes:
    """google.rpc.Status in protobuf, with the time to wait where there is one."""
    status = number_field(1, code_of(error)) + message_field(2, str(error).encode())
    seconds = (error.headers or {}).get("Retry-After", "")
    if not seconds.isdecimal():
        return status
    retry_info = message_field(1, number_field(1, int(seconds)))  # RetryInfo.retry_delay, Duration.seconds
    return status + message_field(3, message_field(1, _RETRY_INFO) + message_field(2, retry_info))


def status_answer(error: ApiError, content_type: str) -> Response:
    """The error as a client of OTLP reads it; the HTTP status says whether to send again."""
    if content_type == PROTOBUF:
        return Response(status_message(error), error.status, error.headers, media_type=PROTOBUF)
    body = {"code": code_of(error), "message": str(error)}
    return Response(orjson.dumps(body), error.status, error.headers, media_type=JSON)
