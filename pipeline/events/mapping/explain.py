"""`spanfold explain`: how an OTLP export is read, span by span: each field, its value, the mapper and the rule.

The first bytes tell the encoding: gzip, JSON, else protobuf. Failure: SpanfoldError where the file cannot be read or is
no export, or holds a span that breaks a rule.
"""

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.errors import SpanfoldError
from pipeline.events import headers
from pipeline.events.mapping.resolve import resolve
from pipeline.events.mapping.rule import IGNORE, WITHHOLD
from pipeline.events.mapping.table import RULES
from pipeline.events.otlp.records import SPLIT
from pipeline.events.otlp.span import Span
from pipeline.events.reasons import DecodeError
from pipeline.events.values import to_text

_GZIP = b"\x1f\x8b"
_LARGEST = 256 * 2**20  # bytes of a file, as it is and unpacked
_SHOWN = 100  # characters of a value in the table


def print_explained(file: Path, *, as_json: bool) -> None:
    """Print the fields of every span in `file`; as JSON one object per span and line, values in full."""
    for span in _spans(file):
        if as_json:
            sys.stdout.write(orjson.dumps(explained(span), default=str).decode() + "\n")
        else:
            _print_table(span)


def explained(span: Span) -> dict[str, Any]:
    """The span's ids, its fields with the rules that set them, and the attributes that no rule used."""
    resolved = resolve(span)
    fields = {
        name: {"value": _plain(resolved.fields[name]), "rules": [rule_name(rank) for rank in ranks]}
        for name, ranks in resolved.origins.items()
    }
    identity = {"trace_id": span.trace_id, "span_id": span.span_id, "name": span.name, "scope": span.scope.name}
    return {**identity, "fields": fields, "unused": resolved.rest}


def rule_name(rank: int) -> str:
    """A rule as people name it: `mapper: source`."""
    mapper, rule = RULES[rank]
    return f"{mapper}: {rule.source}"


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _spans(file: Path) -> Iterator[Span]:
    raw = _unpacked(_read(file))
    content_type = headers.OTLP_JSON if raw.lstrip()[:1] == b"{" else headers.OTLP_PROTOBUF
    try:
        for piece in SPLIT[content_type](raw):
            yield piece.read()
    except DecodeError as error:
        raise SpanfoldError(f"{file}: {error.detail}") from None


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read(_LARGEST) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SpanfoldError(f"{file} cannot be read: {error.strerror}.") from None


def _unpacked(raw: bytes) -> bytes:
    if not raw.startswith(_GZIP):
        return raw
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, _LARGEST)
    except zlib.error as error:
        raise SpanfoldError(f"The file is not valid gzip: {error}.") from None


def _print_table(span: Span) -> None:
    console = Console()
    title = f"{span.name}  trace {span.trace_id}  span {span.span_id}  scope {span.scope.name} {span.scope.version}"
    table = Table("Field", "Value", "Set by", title=escape(title), title_justify="left")
    said = explained(span)
    for name, field in said["fields"].items():
        if name != IGNORE:
            shown = "withheld: these stay with the spans inside" if name == WITHHOLD else ""
            table.add_row(name, escape(_short(field["value"])) + shown, escape("\n".join(field["rules"])))
    for name, value in said["unused"].items():
        table.add_row("metadata.attributes", escape(_short({name: value})), "no rule")
    console.print(table)


def _short(value: Any) -> str:
    text = to_text(orjson.loads(orjson.dumps(value, default=str)))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
