"""The shapes of answers: Langfuse's, to the letter, because its clients read them.

A whole request fails as `{message, error}`; a batch is answered 207 with one line for each event.
"""

from typing import Any, Literal, NamedTuple

import orjson
from starlette.responses import Response

from pipeline.errors import SpanfoldError

UNKNOWN_ID = "unknown"  # stands in an answer where an event has no id that can be read


class ApiError(SpanfoldError):
    """The whole request is refused; `name` is the error's name in the answer."""

    def __init__(
        self,
        status: int,
        name: str,
        message: str,
        *,
        remedy: str = "",
        headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.name = name
        self.headers = headers
        self.more = more or {}  # further keys of the answer


class EnvelopeError(SpanfoldError):
    """The body is not a batch at all: `{"message", "errors"}`, the one shape of its own."""


class InvalidBodyError(SpanfoldError):
    """A single object breaks a rule: 400 `{"message", "error": [reasons]}`."""


class EventError(NamedTuple):
    """One event of a batch is refused; the field names are those of the answer."""

    id: str
    status: int
    message: str
    error: str


def invalid_event(event_id: str, detail: str) -> EventError:
    """The event breaks a rule; sending it again will not help."""
    return EventError(event_id, 400, "Invalid request data", detail)


def forbidden_event(event_id: str) -> EventError:
    """A public key alone (Bearer) may send scores only."""
    return EventError(event_id, 401, "Authentication error", "Access Scope Denied: a public key may only send scores")


def oversized_event(event_id: str, detail: str) -> EventError:
    """Longer than one event may be."""
    return EventError(event_id, 413, "Event too large", detail)


def failed_event(event_id: str) -> EventError:
    """Kafka did not acknowledge this event; clients send it again."""
    return EventError(event_id, 500, "Internal Server Error", "The event was not stored. Send it again.")


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def error_answer(error: ApiError) -> Response:
    """`{message, error}` and whatever else the error carries."""
    return json_answer({"message": str(error), "error": error.name, **error.more}, error.status, error.headers)


def invalid_answer(reasons: list[str]) -> Response:
    """400 for a body of which no part is taken."""
    return json_answer({"message": "Invalid request data", "error": reasons}, 400)


def batch_answer(accepted: list[str], errors: list[EventError]) -> Response:
    """207 with the ids of what is stored and the reasons for what is not."""
    successes: list[dict[str, str | Literal[201]]] = [{"id": event_id, "status": 201} for event_id in accepted]
    return json_answer({"successes": successes, "errors": [error._asdict() for error in errors]}, 207)


def unauthorized(message: str) -> ApiError:
    """401."""
    return ApiError(401, "UnauthorizedError", message, headers={"WWW-Authenticate": 'Basic realm="spanfold"'})


def too_large(limit: int) -> ApiError:
    """413."""
    return ApiError(
        413, "PayloadTooLargeError", f"The body is longer than {limit} bytes.", remedy="Send smaller batches."
    )


def too_many(what: str, limit: int) -> ApiError:
    """413 for a request that asks for too much at once."""
    return ApiError(413, "PayloadTooLargeError", f"More than {limit} {what} in one request.", remedy="Send fewer.")


def unavailable(message: str) -> ApiError:
    """503: nothing of the request was taken for sure; the client shall send all of it again."""
    return ApiError(503, "ServiceUnavailableError", message, remedy="Send it again.", headers={"Retry-After": "5"})
