"""Confluent's framing: schemas by id, old and new writers side by side, registries that are away."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import fastavro
import pytest

from pipeline.errors import SettingError
from pipeline.events import confluent, headers
from pipeline.events.avro_schemas import schema_folder
from pipeline.events.confluent import BELIEVE_SILENCE, BELIEVE_UNKNOWN, Confluent, use_registry
from pipeline.events.decode import decode_record
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.schema_sources import Registered, RegistryUnavailableError, Source, open_source

EVENT = Event("p", "t", Kind.TRACE, "t", "e", Micros(5), {"name": "n"})
RECORD = {"project_id": "p", "trace_id": "t", "event_id": "e", "at": 5, "name": "n"}


def schema(**changes: Any) -> dict[str, Any]:
    return {**json.loads((schema_folder() / "TraceEvent.avsc").read_text()), **changes}


def framed(schema_id: int, writer: dict[str, Any], record: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(writer, _write_hint=False), record)
    return b"\x00" + schema_id.to_bytes(4, "big") + body.getvalue()


def holding(**schemas: dict[str, Any]) -> Source:
    """A registry that knows `s1=…` as 1 and so on."""

    def source(schema_id: int) -> Registered:
        return Registered("AVRO", json.dumps(schemas[f"s{schema_id}"]))

    return source


def refusal(codec: Confluent, raw: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        codec.decode(raw)
    return caught.value


def without(name: str, **more: Any) -> dict[str, Any]:
    """TraceEvent before it had this field."""
    return schema(fields=[field for field in schema()["fields"] if field["name"] != name], **more)


def with_field(field: dict[str, Any]) -> dict[str, Any]:
    """TraceEvent with a field that we do not know, in front."""
    return schema(fields=[field, *schema()["fields"]])


def test_old_and_new_writers_are_read_side_by_side() -> None:
    old, new = without("deleted"), schema()
    newer = with_field({"name": "colour", "type": ["null", "string"], "default": None})
    codec = Confluent(holding(s1=old, s2=new, s3=newer))
    assert codec.decode(framed(1, old, RECORD)) == EVENT
    assert codec.decode(framed(2, new, RECORD)) == EVENT
    assert codec.decode(framed(3, newer, {**RECORD, "colour": "blue"})) == EVENT
    assert codec.decode(framed(2, new, {**RECORD, "deleted": True})).fields == {"deleted": True}


def test_the_published_history_is_read() -> None:
    path = schema_folder() / "history" / "ScoreEvent-1.avsc"
    old = json.loads(path.read_text())
    record = {"project_id": "p", "trace_id": "t", "score_id": "s", "event_id": "e", "at": 5, "name": "n", "value": 1.0}
    event = Confluent(holding(s1=old)).decode(framed(1, old, record))
    assert (event.entity_id, event.fields["value"]) == ("s", 1.0)


def test_fields_that_are_nested_are_skipped() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "bytes"}]}
    nested = with_field({"name": "inner", "type": inner})
    raw = framed(1, nested, {**RECORD, "inner": {"x": b"123"}})
    assert Confluent(holding(s1=nested)).decode(raw) == EVENT


def test_the_namespace_is_the_producers_own_matter() -> None:
    theirs = schema(namespace="com.acme")
    assert Confluent(holding(s1=theirs)).decode(framed(1, theirs, RECORD)) == EVENT


@pytest.mark.parametrize(
    ("registered", "says"),
    [
        (Registered("AVRO", json.dumps(schema(name="Order"))), "Order"),
        (Registered("AVRO", '{"type": "string"}'), "no Avro schema"),
        (Registered("AVRO", "7"), "no Avro schema"),
        (Registered("AVRO", "{"), "schema 1"),
        (Registered("AVRO", '{"name": "TraceEvent", "type": "record", "fields": [{"name": "x", "type": "y"}]}'), "y"),
        (Registered("AVRO", json.dumps(schema()).replace("timestamp-micros", "timestamp-millis")), "timestamp-millis"),
        (Registered("PROTOBUF", "message X {}"), "PROTOBUF"),
    ],
)
def test_a_schema_that_is_none_of_ours_is_unknown(registered: Registered, says: str) -> None:
    error = refusal(Confluent(lambda _: registered), framed(1, schema(), RECORD))
    assert error.reason is Reason.UNKNOWN_SCHEMA
    assert says in error.detail


def test_a_json_schema_frames_canonical_json() -> None:
    codec = Confluent(lambda _: Registered("JSON", "{}"))
    raw = b"\x00\x00\x00\x00\x09" + json.dumps({"kind": "trace", **RECORD}).encode()
    assert codec.decode(raw) == EVENT
    assert refusal(codec, b"\x00\x00\x00\x00\x09{").reason is Reason.MALFORMED


def test_every_cut_through_a_record_is_malformed() -> None:
    codec, raw = Confluent(holding(s1=schema())), framed(1, schema(), RECORD)
    for length in range(1, len(raw)):
        assert refusal(codec, raw[:length]).reason is Reason.MALFORMED
    assert refusal(codec, raw + b"\x00").reason is Reason.MALFORMED


def test_a_registry_is_asked_once_for_a_yes_and_again_after_a_while_for_a_no() -> None:
    asked: list[int] = []
    known: dict[int, Registered] = {}
    now = [100.0]

    def source(schema_id: int) -> Registered:
        asked.append(schema_id)
        if schema_id == 3:
            raise RegistryUnavailableError("away")
        return known[schema_id]

    codec = Confluent(source, lambda: now[0])
    raw, away = framed(1, schema(), RECORD), framed(3, schema(), RECORD)
    for _ in range(3):
        assert refusal(codec, raw).reason is Reason.UNKNOWN_SCHEMA
        assert refusal(codec, away).reason is Reason.SCHEMA_UNAVAILABLE
    assert asked == [1, 3]
    now[0] += BELIEVE_SILENCE + 1
    refusal(codec, away)
    assert asked == [1, 3, 3]
    known[1] = Registered("AVRO", json.dumps(schema()))
    now[0] += BELIEVE_UNKNOWN
    assert [codec.decode(raw) for _ in range(3)] == [EVENT] * 3
    assert asked == [1, 3, 3, 1]


def test_wrong_ids_without_end_take_no_memory() -> None:
    codec = Confluent(holding())
    for number in range(3_000):
        refusal(codec, b"\x00" + number.to_bytes(4, "big") + b"x")
    assert len(codec._failures) <= 1_000


def test_a_folder_is_a_registry(tmp_path: Path) -> None:
    (tmp_path / "7.avsc").write_text(json.dumps(schema()))
    (tmp_path / "8.json").write_text("{}")
    for location in (str(tmp_path), f"file://{tmp_path}"):
        source = open_source(location)
        assert source(7).type == "AVRO"
        assert source(8).type == "JSON"
        with pytest.raises(LookupError):
            source(9)
    for wrong in (str(tmp_path / "nothing"), "ftp://host/x", "http://"):
        with pytest.raises(SettingError):
            open_source(wrong)


def test_a_workers_records_are_read_with_the_registry_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent, "_registry", confluent._registry)  # put back at the end
    (tmp_path / "1.avsc").write_text(json.dumps(schema()))
    raw = framed(1, schema(), RECORD)
    content = ((headers.CONTENT_TYPE, headers.CANONICAL_AVRO),)
    bare, named = (Record("t", 0, 0, Micros(0), b"p/t", raw, given) for given in ((), content))
    use_registry(str(tmp_path))
    assert decode_record(bare, 1000) == decode_record(named, 1000) == [EVENT]
    use_registry("")
    with pytest.raises(DecodeError, match="SPANFOLD_SCHEMA_REGISTRY"):
        decode_record(bare, 1000)


class Answers(BaseHTTPRequestHandler):
    """A schema registry's answers by path."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("authorization")))
        status, body = self.answers.get(self.path, (404, {"error_code": 40403}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def registry() -> Iterator[str]:
    Answers.answers, Answers.seen = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_over_http(registry: str) -> None:
    Answers.answers = {
        "/schemas/ids/1": (200, {"schema": json.dumps(schema())}),
        "/schemas/ids/2": (200, {"schema": "{}", "schemaType": "JSON"}),
        "/schemas/ids/3": (500, {}),
        "/schemas/ids/4": (401, {}),
        "/schemas/ids/5": (200, ["no schema"]),
        "/schemas/ids/6": (200, {"schema": "{}", "references": [{"name": "x"}]}),
    }
    source = open_source(registry.replace("http://", "http://me:p%40ss@") + "/")
    assert source(1) == Registered("AVRO", json.dumps(schema()))
    assert source(2).type == "JSON"
    assert Answers.seen[0] == ("/schemas/ids/1", "Basic bWU6cEBzcw==")
    with pytest.raises(LookupError):
        source(99)
    for number in (3, 4):
        with pytest.raises(RegistryUnavailableError):
            source(number)
    assert [path for path, _ in Answers.seen].count("/schemas/ids/3") == 2
    for number in (5, 6):
        with pytest.raises(ValueError, match=r"no schema|refer"):
            source(number)


def test_a_registry_that_is_away_is_unavailable() -> None:
    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        open_source("http://127.0.0.1:1")(1)
