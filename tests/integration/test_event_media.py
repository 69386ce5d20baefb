"""Media inside events, through the real worker: bytes go to the blob store, a reference stands in the row."""

import base64
from pathlib import Path

import pytest

from pipeline.blobs import MediaStore, open_blobs
from tests.fixtures.captures import PROJECT, langfuse_record, produce
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

PNG = b"\x89PNG" + bytes(5_000)
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def span(id_: str, trace: str, **body: object) -> dict[str, object]:
    said = {"id": id_, "traceId": trace, "name": "look", "startTime": "2026-01-01T00:00:00Z", **body}
    return {"id": f"e-{id_}", "type": "span-create", "timestamp": "2026-01-01T00:00:00Z", "body": said}


def test_base64_in_an_event_goes_to_the_blob_store_and_waits_for_it(stack: Stack, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.write_text("a file where the folder should be: nothing can be written")
    worker = stack.worker(blob_url=str(blobs))
    produce(stack.settings, [langfuse_record(span("a", "t", input={"image": URI}, output="fine"))])
    worker.wait_for_log("was not stored")
    assert stack.count("SELECT count() FROM raw_events") == 0  # it is not forgotten, and no row refers to nothing
    blobs.unlink()
    produce(stack.settings, [langfuse_record(span("b", "t", output="plain"))])
    wait_until_stored(stack, 2)
    found = stack.client.query("SELECT observation_id, field, media_id, content_type FROM media").result_rows
    [(observation_id, field, media_id, content_type)] = found
    assert (observation_id, field, content_type) == ("a", "input", "image/png")
    store = MediaStore(open_blobs(str(blobs)))
    assert b"".join(store.chunks(PROJECT, media_id)) == PNG
    rows = dict(stack.client.query("SELECT observation_id, (input, output) FROM observations").result_rows)
    reference = f"@@@langfuseMedia:type=image/png|id={media_id}|source=base64_data_uri@@@"
    assert rows == {"a": (f'{{"image":"{reference}"}}', "fine"), "b": ("", "plain")}
    worker.stop()
    elsewhere = str(tmp_path / "elsewhere")  # as if an older version had archived the event, which knew of no media
    stack.worker("after", blob_url=elsewhere)
    produce(stack.settings, [langfuse_record(span("c", "t", output="late"))])
    wait_until_stored(stack, 3)
    assert dict(stack.client.query("SELECT observation_id, (input, output) FROM observations").result_rows) == {
        **rows, "c": ("", "late"),
    }  # fmt: skip
    assert b"".join(MediaStore(open_blobs(elsewhere)).chunks(PROJECT, media_id)) == PNG
