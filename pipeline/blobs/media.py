"""Media by their content: what is declared about each, and its bytes once they are there and are what was declared.

Rule: an id is the first 22 characters of the URL-safe base64 of the SHA-256, which is 132 bits of it: the same bytes
have one id and are kept once in a project. `ID` holds the bytes, `ID.json` what was declared and since when they are
there; bytes that do not have the declared hash and length never appear.
Failure: MediaError for bytes that are not what was declared, OSError from the store. All calls block.
"""

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import orjson

from pipeline.blobs.store import BlobStore
from pipeline.errors import SpanfoldError


class MediaError(SpanfoldError):
    """The bytes that came are not those that were declared."""


class Media(NamedTuple):
    """What is known of one medium; `sha256` is standard base64, as clients send it."""

    id: str
    content_type: str
    content_length: int
    sha256: str
    uploaded_at: float | None = None  # seconds since the epoch; None: its bytes are not there


class MediaStore:
    """The media of all projects in one blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def keep(self, project_id: str, media: Media) -> None:
        """Remember what was declared, or that it is there."""
        file = self._blobs.create(f"{_name(project_id, media.id)}.json")
        file.write(orjson.dumps(media._asdict()))
        file.commit()

    def find(self, project_id: str, media_id: str) -> Media | None:
        """What was declared, or None."""
        content = self._blobs.read(f"{_name(project_id, media_id)}.json")
        return Media(**orjson.loads(content)) if content else None

    def put(self, project_id: str, media: Media, content: bytes) -> None:
        """Store bytes that are at hand, unless they are there. Raises MediaError where they are not what they claim."""
        found = self.find(project_id, media.id)
        if found is None or found.uploaded_at is None:
            upload = self.upload(project_id, media)
            try:
                upload.write(content)
                upload.finish()
            finally:
                upload.discard()

    def upload(self, project_id: str, media: Media) -> "Upload":
        """Begin to write its bytes."""
        return Upload(self, project_id, media)

    def chunks(self, project_id: str, media_id: str) -> Iterator[bytes]:
        """The bytes, in parts. Raises FileNotFoundError."""
        return self._blobs.chunks(_name(project_id, media_id))


class Upload:
    """Bytes on their way in, hashed and counted: `write`, then `finish` or `discard`."""

    def __init__(self, store: MediaStore, project_id: str, media: Media) -> None:
        self._store = store
        self._project_id = project_id
        self._media = media
        self._file = store._blobs.create(_name(project_id, media.id))
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._size += len(chunk)
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        """Let the bytes appear. Raises MediaError where they are not what was declared."""
        media = self._media
        if self._size != media.content_length:
            raise MediaError(f"The medium {media.id} has {self._size}, not {media.content_length} bytes.")
        if base64.b64encode(self._hash.digest()).decode() != media.sha256:
            raise MediaError(f"The bytes of the medium {media.id} have another SHA-256.")
        self._file.commit()
        self._store.keep(self._project_id, media._replace(uploaded_at=time.time()))

    def discard(self) -> None:
        """Forget what came."""
        self._file.discard()


def _name(project_id: str, media_id: str) -> str:
    """A name that no project's id can leave: `.` and `..` are no folders here."""
    return f"media/project={quote(project_id, safe='')}/{media_id}"
