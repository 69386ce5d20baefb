"""The parts of `spanfold sql` that need no server: the JSON array, and an answer that breaks off."""

import json
from collections.abc import Iterator

import pytest

from pipeline.ops.sql import QueryError, json_array, whole_lines

TAG = b"2ab7c7f9e6d12800"
BROKEN = [b"1\n", b"2\n", b"\r\n", b"__exception__\r\n", TAG + b"\r\n", b"Code: 395. DB::Exception: no\n", b"37 x\r\n"]


def test_lines_become_one_json_array() -> None:
    rows = ['{"a":1}\n', '{"a":2}\n']
    assert json.loads("".join(json_array(rows))) == [{"a": 1}, {"a": 2}]
    assert "".join(json_array([])) == "[]\n"


def test_an_answer_that_breaks_off_gives_its_rows_and_then_the_message_of_clickhouse() -> None:
    lines = whole_lines(BROKEN, TAG)
    assert [next(lines), next(lines)] == ["1\n", "2\n"]
    with pytest.raises(QueryError, match=r"Code: 395\. DB::Exception: no"):
        exhaust(lines)


def test_a_value_that_looks_like_the_marker_is_a_value() -> None:
    data = [b'"\r\n', b"__exception__\r\n", b'other"\n', b"3\n"]
    assert "".join(whole_lines(data, TAG)).encode() == b"".join(data)
    assert "".join(whole_lines(BROKEN, b"")).encode() == b"".join(BROKEN)


def exhaust(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
