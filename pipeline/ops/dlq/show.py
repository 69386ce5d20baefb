"""Dead letters on a terminal, and as JSON for a program."""

import base64
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.ops.dlq.letters import Content, Count, Letter
from pipeline.ops.dlq.replay import Report

MOST_SHOWN = 4_000  # characters of a record
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = frozenset({"state_at", "first_failed_at", "failed_at", "timestamp", "first", "last"})


def print_letters(letters: Sequence[Letter], of: int, *, as_json: bool) -> None:
    """A line each; says how many of how many."""
    if as_json:
        print(json.dumps([_plain(letter) for letter in letters]))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("ID", "FAILED AT", "PROJECT", "REASON", "STATE", "TRIES", "BYTES", "DETAIL"):
        table.add_column(column, overflow="fold", no_wrap=column == "ID")
    for letter in letters:
        table.add_row(
            letter.id, _time(letter.failed_at)[:19], letter.project_id, letter.reason, letter.state,
            str(letter.attempts), str(letter.size), _safe(letter.detail)[:80],
        )  # fmt: skip
    _console().print(table)
    print(f"{len(letters)} of {of} dead letters")


def print_counts(counts: Sequence[Count], *, as_json: bool) -> None:
    """Numbers by project, reason and state."""
    if as_json:
        print(json.dumps([_plain(count) for count in counts]))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("PROJECT", "REASON", "STATE", "LETTERS", "FIRST", "LAST"):
        table.add_column(column, justify="right" if column == "LETTERS" else "left")
    for each in counts:
        first, last = _time(each.first)[:19], _time(each.last)[:19]
        table.add_row(each.project_id or "(none)", each.reason, each.state, str(each.letters), first, last)
    _console().print(table)
    print(f"{sum(each.letters for each in counts)} dead letters")


def print_letter(letter: Letter, content: Content, *, as_json: bool) -> None:
    """All of one letter: its record as text where it is text, else its first bytes in hexadecimal."""
    if as_json:
        print(json.dumps(_plain(letter) | _record(content)))
        return
    for name, value in _plain(letter).items():
        print(f"{name:<16} {_safe(str('' if value is None else value))}")
    print(f"{'key':<16} {_shown(content.key)}")
    for header, text in content.headers:
        print(f"{'header':<16} {_safe(header)}: {_shown(text)}")
    print(_shown(content.value))


def print_progress(report: Report) -> None:
    """One line on stderr, rewritten on a terminal."""
    end = "\r" if sys.stderr.isatty() and report.done < report.chosen else "\n"
    if end == "\r" or report.done >= report.chosen:
        print(f"{report.done} of {report.chosen}: {report.replayed} sent", end=end, file=sys.stderr)


def print_report(report: Report, *, as_json: bool) -> None:
    """What a replay came to."""
    if as_json:
        told = {"chosen": report.chosen, "replayed": report.replayed, "skipped": report.skipped}
        print(json.dumps(told | {"failed": report.failed}))
        return
    print(f"{report.replayed} of {report.chosen} dead letters were sent again")
    if report.skipped:
        print(f"{report.skipped} came from topics that are not read here and stay open")
    if report.failed:
        print(f"{report.failed} are too large for their topic and stay open: raise its max.message.bytes")


def _plain(row: Letter | Count) -> dict[str, Any]:
    return {
        name: _time(value) if name in _TIMES and value is not None else value for name, value in row._asdict().items()
    }


def _record(content: Content) -> dict[str, Any]:
    return {
        "key": _base64(content.key),
        "value": _base64(content.value),
        "headers": [[name, _base64(value)] for name, value in content.headers],
        "encoding": "base64",
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _shown(value: bytes | None) -> str:
    """Text of bytes that anybody may have sent: nothing in it can speak to the terminal."""
    if value is None:
        return "(none)"
    try:
        text = _safe(value.decode())
    except UnicodeDecodeError:
        text = value[: MOST_SHOWN // 3].hex(" ")
    more = f" … ({len(value)} bytes; --output FILE writes them)" if len(text) > MOST_SHOWN else ""
    return text[:MOST_SHOWN] + more


def _safe(text: str) -> str:
    return "".join(each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text)


def _time(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _console() -> Console:
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 240)
