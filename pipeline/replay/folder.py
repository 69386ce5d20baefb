"""Archived records as files, and back.

A folder holds files `*.ndjson`, one record a line, a JSON object:
  topic, partition, offset: where the log had it; timestamp: when the log took it, microseconds since the Unix epoch;
  key: PROJECT/TRACE; content_type, project, receiver: the headers of the record; received_at: microseconds, or 0;
  value: the original bytes, base64.
Records of a trace may be in any order and in several files. A file is called `*.part` until it is whole.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from pipeline.errors import SpanfoldError
from pipeline.events import headers
from pipeline.events.keys import record_key
from pipeline.events.model import Micros, Record
from pipeline.folders import make_folder
from pipeline.store.lookups import RawEvent

FILE_BYTES = 64 * 2**20
LONGEST_LINE = 64 * 2**20  # a record of 4 MB takes 6
SUFFIX = ".ndjson"
_PLACES = 2**63


class FolderError(SpanfoldError):
    """A folder or a file in it is not what it must be."""


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str
    value: str
    content_type: str = ""
    project: str = ""
    receiver: str = "kafka"
    received_at: int = 0


def write_folder(folder: Path, raws: Iterable[RawEvent]) -> tuple[int, int]:
    """Write the records of these events, each once; (files, records). Raises FolderError where files are there."""
    make_folder(folder, "--export")
    if any(folder.glob(f"*{SUFFIX}")):
        raise FolderError(f"{folder} has {SUFFIX} files already.", remedy="Give an empty folder.")
    lines, files, records = _lines(raws), 0, 0
    line = next(lines, None)
    while line is not None:
        files += 1
        path = folder / f"events-{files:05}{SUFFIX}"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            while line is not None and file.tell() < FILE_BYTES:
                file.write(line)
                records += 1
                line = next(lines, None)
        part.rename(path)
    return files, records


def read_folder(folder: Path) -> Iterator[Record]:
    """All records, file by file. Raises FolderError with the file and the line."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise FolderError(f"{folder} has no {SUFFIX} files.", remedy="Write some: spanfold replay --export DIR")
    decoder = msgspec.json.Decoder(Line)
    for path in paths:
        with path.open("rb") as file:
            for number, text in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
                try:
                    yield _record(decoder.decode(text))
                except (msgspec.DecodeError, Base64Error, ValueError) as error:
                    raise FolderError(
                        f"{path}, line {number}: {error}", remedy="docs/replay.md tells what a line looks like."
                    ) from error


def _lines(raws: Iterable[RawEvent]) -> Iterator[bytes]:
    """A record that holds several events is written once; they belong to one trace and come with it."""
    trace, seen = ("", ""), set[tuple[str, int, int]]()
    for raw in raws:
        if trace != (raw.project_id, raw.trace_id):
            trace = (raw.project_id, raw.trace_id)
            seen.clear()
        place = (raw.topic, raw.partition, raw.offset)
        if place not in seen:
            seen.add(place)
            yield msgspec.json.encode(_line(raw)) + b"\n"


def _line(raw: RawEvent) -> Line:
    return Line(
        raw.topic,
        raw.partition,
        raw.offset,
        raw.timestamp,
        record_key(raw.project_id, raw.trace_id).decode(),
        b64encode(raw.value).decode(),
        raw.content_type,
        raw.project_id,
        raw.receiver,
        raw.received_at,
    )


def _record(line: Line) -> Record:
    if not (0 <= line.partition < 2**32 and 0 <= line.offset < _PLACES and 0 <= line.timestamp < _PLACES):
        raise ValueError("partition, offset or timestamp is out of range")
    named = (
        (headers.CONTENT_TYPE, line.content_type.encode()),
        (headers.PROJECT, line.project.encode()),
        (headers.RECEIVER, line.receiver.encode()),
        (headers.RECEIVED_AT, str(line.received_at).encode()),
    )
    value = b64decode(line.value, validate=True)
    return Record(line.topic, line.partition, line.offset, Micros(line.timestamp), line.key.encode(), value, named)
