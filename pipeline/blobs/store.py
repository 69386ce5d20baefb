"""Files in a folder, or in any store that fsspec knows by its URL (s3://, gs://, memory://).

Rule: a file appears whole or not at all, and the same name always gets the same bytes, so writing twice does no harm.
All calls block; call them from a thread. Failure: OSError, as fsspec's stores raise it.
Configured by SPANFOLD_BLOB_URL.
"""

from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from pipeline.errors import SettingError

CHUNK_BYTES = 2**20


class NewFile:
    """A file that is being written: it appears with `commit`, never with `discard`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ended = False

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def commit(self) -> None:
        """Let it appear."""
        self._ended = True
        self._file.close()
        self._file.commit()

    def discard(self) -> None:
        """Leave nothing behind; nothing happens after an end."""
        if not self._ended:
            self._ended = True
            self._file.close()
            self._file.discard()


class BlobStore:
    """Reads and writes below one root."""

    def __init__(self, files: fsspec.AbstractFileSystem, root: str) -> None:
        self._files = files
        self._root = root.rstrip("/")

    def create(self, name: str) -> NewFile:
        """Begin to write a file."""
        return NewFile(self._files.open(self._path(name), "wb", autocommit=False))

    def read(self, name: str) -> bytes | None:
        """A small file as a whole; None where there is none."""
        try:
            content: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return content

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file in parts of 1 MiB. Raises FileNotFoundError."""
        with self._files.open(self._path(name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_blobs(url: str) -> BlobStore:
    """The store at a URL or a path. Raises SettingError where fsspec does not know it."""
    local = {"auto_mkdir": True} if "://" not in url or url.startswith("file:") else {}
    try:
        files, root = url_to_fs(url, **local)
    except (ValueError, ImportError) as error:
        raise SettingError(f"SPANFOLD_BLOB_URL cannot be used: {error}", remedy="Give a folder or a URL.") from error
    return BlobStore(files, root)
