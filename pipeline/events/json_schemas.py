"""The JSON Schemas of canonical events in `schemas/`, made from the types that judge them.

Rule: one file per kind of event, written by `python -m pipeline.events.json_schemas` and never by hand; a test holds
the files to the types. What a schema cannot say (one subject per score, amounts below a million) is in
schemas/README.md, so a document that fits its schema may still be refused, but none that does not fit is accepted.
Format: JSON Schema 2020-12.
"""

from typing import Any

import orjson
from pydantic import TypeAdapter

from pipeline.events.avro_schemas import NAMES, schema_folder
from pipeline.events.canonical_schema import ObservationBody, ScoreBody, TraceBody
from pipeline.events.model import Kind

_BODIES: dict[Kind, Any] = {Kind.TRACE: TraceBody, Kind.OBSERVATION: ObservationBody, Kind.SCORE: ScoreBody}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, bytes]:
    """File name -> its content, for every kind of event."""
    return {f"{name}.schema.json": _schema(name, _BODIES[kind]) for name, kind in NAMES.items()}


def _schema(name: str, body: Any) -> bytes:
    schema = TypeAdapter(body).json_schema()
    schema |= {"$schema": _DIALECT, "title": name}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    """Write the files."""
    for file_name, content in json_schemas().items():
        (schema_folder() / file_name).write_bytes(content)
        print(f"wrote {file_name}")


if __name__ == "__main__":
    main()
