"""Archived records as files: what comes back is what was written, and a broken line says where it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.events import headers
from pipeline.replay import folder as folder_module
from pipeline.replay.folder import FolderError, read_folder, write_folder
from tests.fixtures.archive import MemoryArchive
from tests.fixtures.whole_traffic import whole_traces

RECORDS = [record for trace in whole_traces(4) for record in trace]


def exported(folder: Path) -> tuple[MemoryArchive, tuple[int, int]]:
    archive = MemoryArchive(RECORDS)
    return archive, write_folder(folder, archive.read_back(None, archive.names()))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    _, (files, records) = exported(tmp_path)
    assert (files, records) == (1, len(RECORDS))
    found = {record.offset: record for record in read_folder(tmp_path)}
    for offset, wanted in enumerate(RECORDS):
        assert (found[offset].key, found[offset].value) == (wanted.key, wanted.value)
        assert dict(found[offset].headers)[headers.CONTENT_TYPE] == dict(wanted.headers)[headers.CONTENT_TYPE]


def test_long_exports_are_cut_into_files_that_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FILE_BYTES", 10_000)
    _, (files, records) = exported(tmp_path)
    assert files > 5
    assert len(list(read_folder(tmp_path))) == records == len(RECORDS)
    assert {path.suffix for path in tmp_path.iterdir()} == {".ndjson"}


def test_a_record_of_several_events_is_written_once(tmp_path: Path) -> None:
    archive = MemoryArchive(RECORDS[:1])
    [raw] = archive.events.values()
    assert write_folder(tmp_path, [raw, raw._replace(position=1, event_id="beside")]) == (1, 1)


def test_files_of_another_export_are_not_mixed_up(tmp_path: Path) -> None:
    exported(tmp_path)
    with pytest.raises(FolderError, match="empty folder"):
        exported(tmp_path)


def test_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="--export"):
        list(read_folder(tmp_path))


GOOD: dict[str, Any] = {"topic": "t", "partition": 0, "offset": 1, "timestamp": 2, "key": "p/t", "value": "e30="}


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "null", "{", json.dumps({**GOOD, "value": "not base64!"}), json.dumps({**GOOD, "value": 7}),
        json.dumps({**GOOD, "offset": -1}), json.dumps({**GOOD, "partition": 2**40}), json.dumps({**GOOD, "x": 1}),
        json.dumps({**GOOD, "timestamp": 2**63}), json.dumps({**GOOD, "timestamp": "now"}), "\udcff",
        json.dumps({name: value for name, value in GOOD.items() if name != "key"}),
    ],
)  # fmt: skip
def test_a_broken_line_says_where_it_is(line: str, tmp_path: Path) -> None:
    text = f"{json.dumps(GOOD)}\n{line}\n"
    (tmp_path / "a.ndjson").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FolderError, match=r"a\.ndjson, line 2"):
        list(read_folder(tmp_path))
