"""Media in the blob store: declarations never hide what is there, and what is wanted while it is removed stays."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import orjson
import pytest

from pipeline.blobs import BlobStore, Media, MediaError, MediaStore, open_blobs
from pipeline.blobs.media import FRESH
from pipeline.events.media import media_id_of

CONTENT = b"\x89PNG"
DIGEST = hashlib.sha256(CONTENT).digest()
MEDIUM = Media(media_id_of(DIGEST), "image/png", len(CONTENT), base64.b64encode(DIGEST).decode())
LONG_AGO = time.time() - 20 * FRESH


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    yield open_blobs(str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def store(blobs: BlobStore) -> MediaStore:
    return MediaStore(blobs)


def there(store: MediaStore) -> bool:
    found = store.find("p", MEDIUM.id)
    return found is not None and found.uploaded_at is not None and b"".join(store.chunks("p", MEDIUM.id)) == CONTENT


def rewritten(blobs: BlobStore, kind: str, media: Media) -> None:
    """As it would be had it been written at another time, or by another version."""
    file = blobs.create(f"media/project=p/{media.id}{kind}")
    file.write(orjson.dumps(media._asdict()))
    file.commit()


def old(store: MediaStore, blobs: BlobStore) -> Media:
    """A medium that nobody wanted for long."""
    store.put("p", MEDIUM, CONTENT)
    seen = MEDIUM._replace(uploaded_at=LONG_AGO, wanted_at=LONG_AGO)
    rewritten(blobs, ".json", seen)
    return seen


def test_a_declaration_in_any_order_does_not_hide_what_is_there(store: MediaStore) -> None:
    """Two clients have the same bytes; the second declares, or ends, at any moment of the first one's upload."""
    assert store.declare("p", MEDIUM) is False
    first, second = store.upload("p", MEDIUM), store.upload("p", MEDIUM)
    assert store.declare("p", MEDIUM._replace(content_length=99)) is False  # a liar: the bytes are what counts
    first.write(CONTENT)
    first.finish()
    assert there(store)
    assert store.declare("p", MEDIUM) is True
    second.write(CONTENT[:2])
    with pytest.raises(MediaError, match="2, not 4 bytes"):
        second.finish()
    second.discard()
    assert there(store)
    found = store.find("p", MEDIUM.id)
    assert found is not None and found.content_length == len(CONTENT)


def test_a_declaration_that_was_slow_does_not_hide_what_came_meanwhile(blobs: BlobStore) -> None:
    """It looked before the upload ended and writes after it."""

    class Slow(MediaStore):
        def want(self, project_id: str, media_id: str, *, held: bool = False) -> Media | None:
            found = super().want(project_id, media_id, held=held)
            MediaStore(blobs).put("p", MEDIUM, CONTENT)
            return found

    assert Slow(blobs).declare("p", MEDIUM) is False
    assert there(MediaStore(blobs))
    assert MediaStore(blobs).declare("p", MEDIUM) is True


def test_many_at_once_leave_it_there(store: MediaStore) -> None:
    start = threading.Barrier(8)

    def client(declares: bool) -> None:
        start.wait(10)
        for _ in range(5):
            if declares:
                store.declare("p", MEDIUM)
            else:
                store.put("p", MEDIUM, CONTENT)

    threads = [threading.Thread(target=client, args=(number % 2 == 0,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert there(store)


def test_what_an_older_version_s_declaration_hid_is_found_again(store: MediaStore, blobs: BlobStore) -> None:
    store.put("p", MEDIUM, CONTENT)
    rewritten(blobs, ".json", MEDIUM)  # that version wrote declarations under this name
    assert there(store)
    rewritten(blobs, ".json", MEDIUM._replace(content_length=5))  # other bytes than these
    found = store.find("p", MEDIUM.id)
    assert found is not None and found.uploaded_at is None


def test_wanting_it_is_remembered_once_a_day(store: MediaStore, blobs: BlobStore) -> None:
    seen = old(store, blobs)
    wanted = store.want("p", MEDIUM.id)
    assert wanted is not None and wanted.last_wanted > seen.last_wanted + 19 * FRESH
    assert store.want("p", MEDIUM.id) == wanted == store.find("p", MEDIUM.id)
    held = store.want("p", MEDIUM.id, held=True)
    assert held is not None and held.held
    store.put("p", MEDIUM, CONTENT)
    assert store.find("p", MEDIUM.id) == held
    assert store.want("p", "x" * 22) is None


def test_what_was_declared_for_a_dataset_s_item_is_held_whoever_brings_the_bytes(store: MediaStore) -> None:
    store.declare("p", MEDIUM._replace(held=True))
    store.put("p", MEDIUM, CONTENT)
    found = store.find("p", MEDIUM.id)
    assert found is not None and found.held


def test_who_declares_it_for_a_trace_meanwhile_takes_no_hold_away(store: MediaStore) -> None:
    """The same picture in a dataset's item and in a trace, and the bytes come after both declarations."""
    store.declare("p", MEDIUM._replace(held=True))
    store.declare("p", MEDIUM)
    store.put("p", MEDIUM, CONTENT)
    found = store.find("p", MEDIUM.id)
    assert found is not None and found.held


def test_what_is_removed_is_gone_and_can_come_again(store: MediaStore, blobs: BlobStore) -> None:
    assert store.remove("p", old(store, blobs)) is True
    assert store.find("p", MEDIUM.id) is None
    assert [file.name for file in store.files("p")] == []
    store.put("p", MEDIUM, CONTENT)
    assert there(store)


class Interrupted(BlobStore):
    """Something happens just before or after one of the steps of a removal."""

    def __init__(self, blobs: BlobStore, at: int, meanwhile: Callable[[], None]) -> None:
        super().__init__(blobs._files, blobs._root)
        self._at, self._meanwhile, self._calls = at, meanwhile, 0

    def _step(self) -> None:
        if self._calls == self._at:
            self._meanwhile()
        self._calls += 1

    def move(self, name: str, to: str) -> bool:
        self._step()
        return super().move(name, to)

    def read(self, name: str) -> bytes | None:
        self._step()
        return super().read(name)

    def remove(self, name: str) -> None:
        self._step()
        super().remove(name)


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("how", ["put", "declare"])
def test_what_is_wanted_while_it_is_removed_is_there_after_it(
    store: MediaStore, blobs: BlobStore, step: int, how: str
) -> None:
    """Before the bytes are set aside, before and after the look whether they are wanted, and later."""
    seen = old(store, blobs)

    def meanwhile() -> None:
        if how == "put" or not store.declare("p", MEDIUM):
            store.put("p", MEDIUM, CONTENT)  # the client uploads what it was asked for

    interrupted = Interrupted(blobs, step, meanwhile)
    MediaStore(interrupted).remove("p", seen)
    assert interrupted._calls > step
    assert there(store)
    store.mend("p", MEDIUM.id)
    assert there(store)


@pytest.mark.parametrize("step", range(4))
def test_a_removal_that_was_broken_off_is_ended(store: MediaStore, blobs: BlobStore, step: int) -> None:
    seen = old(store, blobs)

    def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MediaStore(Interrupted(blobs, step, dies)).remove("p", seen)
    known = store.find("p", MEDIUM.id) is not None
    store.mend("p", MEDIUM.id)
    assert there(store) == known
    assert not any(file.name.endswith(".leaving") for file in store.files("p"))


def test_files_and_projects_are_listed_with_their_age(store: MediaStore, blobs: BlobStore) -> None:
    assert (store.projects(), list(store.files("a/b"))) == ([], [])
    store.put("a/b", MEDIUM, CONTENT)
    store.put("..", MEDIUM, CONTENT)
    assert store.projects() == ["..", "a/b"]
    files = {file.name: file for file in store.files("a/b")}
    assert set(files) == {MEDIUM.id, f"{MEDIUM.id}.json"}
    assert files[MEDIUM.id].size == len(CONTENT)
    assert all(file.modified is not None and abs(file.modified - time.time()) < 100 for file in files.values())
    store.drop("a/b", MEDIUM.id)
    store.drop("a/b", MEDIUM.id)
    assert [file.name for file in store.files("a/b")] == [f"{MEDIUM.id}.json"]


@pytest.mark.parametrize("letter", ["x", "/", "\u4e2d"])
@pytest.mark.parametrize("length", [80, 248, 800])
def test_any_id_that_a_project_may_have_makes_a_folder_that_is_found_again(
    store: MediaStore, letter: str, length: int
) -> None:
    project_id = letter * length
    store.put("p", MEDIUM, CONTENT)
    store.put(project_id, MEDIUM, CONTENT)
    assert sorted(store.projects()) == sorted(["p", project_id])
    assert b"".join(store.chunks(project_id, MEDIUM.id)) == CONTENT
    assert {file.name for file in store.files(project_id)} == {MEDIUM.id, f"{MEDIUM.id}.json"}
    assert store.find(project_id + letter, MEDIUM.id) is None
    found = store.find(project_id, MEDIUM.id)
    assert found is not None
    assert store.remove(project_id, found)
    assert list(store.files(project_id)) == []


def test_a_file_in_a_folder_is_written_beside_its_place(tmp_path: Path) -> None:
    """Another disk for temporary files would make the move a copy."""
    store = MediaStore(open_blobs(str(tmp_path)))
    upload = store.upload("p", MEDIUM)
    upload.write(CONTENT)
    [part] = (tmp_path / "media" / "project=p").iterdir()
    assert part.name.startswith(f"{MEDIUM.id}.part-")
    inode = part.stat().st_ino
    upload.finish()
    assert (tmp_path / "media" / "project=p" / MEDIUM.id).stat().st_ino == inode
    assert not part.exists()
