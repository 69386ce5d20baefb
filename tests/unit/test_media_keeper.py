"""Media of events on their way to the blob store: once each, for ever, and before anything refers to them."""

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.blobs import Media, MediaStore, open_blobs
from pipeline.events.media import Medium, media_id_of
from pipeline.stream import persist
from pipeline.stream.media import AT_ONCE, MediaKeeper
from pipeline.stream.persist import Cancelled, ask_store


def medium(number: int) -> Medium:
    content = b"%d" % number
    digest = hashlib.sha256(content).digest()
    return Medium(media_id_of(digest), "image/png", digest, content)


class Broken(MediaStore):
    """A store that says no so many times, in an error of its own."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(open_blobs(str(folder)))
        self.times, self.puts = times, 0

    def put(self, project_id: str, media: Media, content: bytes) -> None:
        self.puts += 1
        if self.puts <= self.times:
            raise RuntimeError("SlowDown")
        super().put(project_id, media, content)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persist, "LONGEST_WAIT", 0.01)


async def test_what_is_kept_can_be_read_and_is_written_once(tmp_path: Path) -> None:
    store = Broken(tmp_path, 0)
    found = [("p", medium(n)) for n in range(2 * AT_ONCE + 1)]
    await MediaKeeper(store)([*found, *found, ("q", medium(0))], lambda: False)
    assert store.puts == len(found) + 1
    for project_id, each in [*found, ("q", medium(0))]:
        known = store.find(project_id, each.id)
        assert known is not None and known.uploaded_at and known.content_type == "image/png"
        assert b"".join(store.chunks(project_id, each.id)) == each.content


async def test_bytes_that_are_there_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Broken(tmp_path, 0)
    keep = MediaKeeper(store)
    await keep([("p", medium(1))], lambda: False)

    def upload(*_: Any) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(store, "upload", upload)
    await keep([("p", medium(1))], lambda: False)


async def test_a_store_that_says_no_is_asked_until_it_does_not(tmp_path: Path) -> None:
    store = Broken(tmp_path, 3)
    await MediaKeeper(store)([("p", medium(1))], lambda: False)
    assert store.puts == 4
    assert store.find("p", medium(1).id) is not None


async def test_nobody_waits_for_media_of_a_partition_that_is_gone(tmp_path: Path) -> None:
    store = Broken(tmp_path, 10**9)
    with pytest.raises(Cancelled):
        await MediaKeeper(store)([("p", medium(1))], lambda: store.puts > 2)


async def test_media_that_hang_take_no_thread_from_the_questions_to_the_store(tmp_path: Path) -> None:
    goes = threading.Event()

    class Hanging(MediaStore):
        def put(self, project_id: str, media: Media, content: bytes) -> None:
            goes.wait(60)

    keep = MediaKeeper(Hanging(open_blobs(str(tmp_path))))
    keeping = [asyncio.create_task(keep([("p", medium(n)) for n in range(AT_ONCE)], lambda: False)) for _ in range(8)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(ask_store(lambda: 5, lambda: False), 10) == 5
        assert not any(each.done() for each in keeping)
    finally:
        goes.set()
    await asyncio.gather(*keeping)
