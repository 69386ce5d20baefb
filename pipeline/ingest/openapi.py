"""The front door's OpenAPI document (`GET /openapi.json`): what each route takes and which answers it has.

FastAPI knows the paths; bodies are read and judged by our own decoders, so what they take is told here, by the types
that judge them. A schema says less than a decoder: a body that fits may still be refused, with the reason.
A new route needs a line in OPERATIONS. Format: OpenAPI 3.1.
"""

from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pipeline.events.langfuse import Envelope, ObservationBody, TraceBody
from pipeline.events.langfuse_scores import ScoreBody
from pipeline.ingest import ingestion, media, otlp, scores, single
from pipeline.metrics.health import LIVE, READY

Json = dict[str, Any]

_JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_SCHEME = "keys"
_ERRORS = {
    "400": "What is wrong with the request, in words.",
    "401": "No key, an unknown one, or one that may not do this.",
    "404": "There is nothing of that name (yet).",
    "408": "The request did not come in time.",
    "413": "Larger than a limit, which the answer names.",
    "415": "An encoding or a type that is not taken.",
    "429": "Over the rate of the project; `Retry-After` says when to come again.",
    "431": "Headers beyond the limit.",
    "503": "Kafka or a store does not answer, or too much waits: nothing is claimed to be stored, send it again.",
}


class Batch(TypedDict):
    """Events of a batch; other members are ignored."""

    batch: list[Envelope]


class TraceIds(TypedDict):
    """Traces to delete."""

    traceIds: list[str]


class Medium(TypedDict):
    """A medium that is about to be uploaded; it belongs to a trace, or to an item of a dataset."""

    contentType: str
    contentLength: int
    sha256Hash: str
    field: str
    traceId: str


class Upload(TypedDict):
    """How an upload went."""

    uploadedAt: str
    uploadHttpStatus: int


_BODIES: dict[str, Any] = {
    "Batch": Batch, "Trace": TraceBody, "Observation": ObservationBody, "Score": ScoreBody,
    "TraceIds": TraceIds, "Medium": Medium, "Upload": Upload,
}  # fmt: skip


class _Operation(NamedTuple):
    """What FastAPI cannot know of a route."""

    answers: dict[str, str]  # status -> meaning, beside the errors that all may have
    body: Json | None = None  # content type -> schema
    needs_key: bool = True


def _json(name: str) -> Json:
    return {_JSON: {"$ref": _REFERENCE.format(model=name)}}


_BINARY: Json = {"type": "string", "format": "binary"}
_OK = {"200": "Kafka has it."}
_SCORES = {_JSON: {"anyOf": [_json("Score")[_JSON], {"type": "array", "items": _json("Score")[_JSON]}]}}
_OTLP = _Operation(
    {"200": "Stored; `partialSuccess` tells of spans that are not."},
    {"application/x-protobuf": _BINARY, _JSON: {"type": "object"}},
)
_NOT_STORED = _Operation({"501": "Only traces are stored."}, needs_key=False)
_SIGNED = {"403": "The URL was not made here, or an hour has passed."}
_MEDIUM = media.ROUTE + "/{media_id}"

OPERATIONS: dict[tuple[str, str], _Operation] = {
    ("POST", ingestion.ROUTE): _Operation({"207": "For each event whether it is stored."}, _json("Batch")),
    **{
        key: _Operation(_OK, _json("Trace" if kind.type == "trace-create" else "Observation"))
        for key, kind in single.ROUTES.items()
    },
    ("POST", scores.ROUTE): _Operation({**_OK, "202": "All are stored.", "207": "Some are not."}, _SCORES),
    ("DELETE", "/api/public/traces"): _Operation(_OK, _json("TraceIds")),
    ("DELETE", "/api/public/traces/{trace_id}"): _Operation(_OK),
    ("DELETE", "/api/public/scores/{score_id}"): _Operation(_OK),
    ("POST", media.ROUTE): _Operation({"201": "Where to put it."}, _json("Medium")),
    ("PATCH", _MEDIUM): _Operation(_OK, _json("Upload")),
    ("GET", _MEDIUM): _Operation({"200": "What it is, and where."}),
    ("PUT", _MEDIUM + "/content"): _Operation({**_SIGNED, "200": "It is there."}, {"*/*": _BINARY}, needs_key=False),
    ("GET", _MEDIUM + "/content"): _Operation({**_SIGNED, "200": "The bytes."}, needs_key=False),
    **dict.fromkeys([("POST", otlp.ROUTE), ("POST", otlp.STANDARD_ROUTE)], _OTLP),
    **{("POST", f"{way}/{what}"): _NOT_STORED for way in otlp.WAYS for what in ("logs", "metrics")},
    ("GET", "/api/public/projects"): _Operation({"200": "The project of the key."}),
    **{
        ("GET", path): _Operation({"200": "It can take events."}, needs_key=False)
        for path in ("/health", "/api/public/health", READY)
    },
    ("GET", LIVE): _Operation({"200": "Its event loop turns."}, needs_key=False),
    ("GET", "/metrics"): _Operation({"200": "Prometheus text."}, needs_key=False),
}


def describe(app: FastAPI) -> Json:
    """The document. Raises KeyError for a route that has no line in OPERATIONS."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, summary="Spanfold's front door")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(operation, OPERATIONS[method.upper(), path])
    kinds = [(name, "validation", TypeAdapter(type_)) for name, type_ in _BODIES.items()]
    made, defined = TypeAdapter.json_schemas(kinds, ref_template=_REFERENCE)  # type: ignore[arg-type]
    document["components"] = {
        "schemas": {**defined.get("$defs", {}), **{name: schema for (name, _), schema in made.items()}},
        "securitySchemes": {_SCHEME: {"type": "http", "scheme": "basic", "description": "public key : secret key"}},
    }
    return document


def _complete(operation: Json, told: _Operation) -> None:
    answers = {**_ERRORS, **told.answers}
    operation["responses"] = {status: {"description": answers[status]} for status in sorted(answers)}
    if told.needs_key:
        operation["security"] = [{_SCHEME: []}]
    if told.body is not None:
        content = {content_type: {"schema": schema} for content_type, schema in told.body.items()}
        operation["requestBody"] = {"required": True, "content": content}
