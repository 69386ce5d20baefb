"""Files in a folder, or in any store that fsspec knows by its URL (s3://, gs://, memory://).

Rule: a file appears whole or not at all, and the same name always gets the same bytes, so writing twice does no harm.
In a folder it is written beside its place, is on the disk, and is then renamed: where a system's folder for temporary
files is another disk, a move from there would be a copy, which a reader or a crash may meet half way.
All calls block; call them from a thread. Failure: OSError, as fsspec's stores raise it.
Configured by SPANFOLD_BLOB_URL.
"""

import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import SettingError

CHUNK_BYTES = 2**20
PART = ".part-"  # in the name of a file in a folder that is being written
FIRSTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "created")  # as fsspec's stores call it


class File(NamedTuple):
    """A file as a list shows it: its last name, bytes, and when it was written; seconds, None where nobody tells."""

    name: str
    size: int
    modified: float | None


class NewFile(Protocol):
    """A file that is being written: it appears with `commit`, never with `discard`."""

    def write(self, data: bytes) -> None:
        """Append."""

    def commit(self) -> None:
        """Let it appear."""

    def discard(self) -> None:
        """Leave nothing behind; nothing happens after an end."""


class _Remote:
    """In a store that makes a file appear at its end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ended = False

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._ended = True
        self._file.close()
        self._file.commit()

    def discard(self) -> None:
        if not self._ended:
            self._ended = True
            self._file.close()
            self._file.discard()


class _Local:
    """In a folder."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._part = path, path.with_name(f"{path.name}{PART}{secrets.token_hex(8)}")
        self._file = self._part.open("xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class BlobStore:
    """Reads and writes below one root."""

    def __init__(self, files: fsspec.AbstractFileSystem, root: str) -> None:
        self._files = files
        self._root = root.rstrip("/")
        self._local = isinstance(files, LocalFileSystem)

    def create(self, name: str) -> NewFile:
        """Begin to write a file."""
        if self._local:
            return _Local(Path(self._path(name)))
        return _Remote(self._files.open(self._path(name), "wb", autocommit=False))

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

    def find(self, name: str) -> File | None:
        """What is known of a file now; None where there is none."""
        self._files.invalidate_cache()  # of lists, in which it may stand though it is gone
        try:
            return _file(self._files.info(self._path(name)))
        except FileNotFoundError:
            return None

    def move(self, name: str, to: str) -> bool:
        """Give a file another name; False where there is none."""
        try:
            self._files.mv(self._path(name), self._path(to))
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete a file, if there is one."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def folders(self, name: str) -> list[str]:
        """The names of the folders in a folder, in order."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._path(name), detail=True)
        except FileNotFoundError:
            return []
        return sorted(_last(each["name"]) for each in found if each["type"] == "directory")

    def files(self, name: str) -> Iterator[File]:
        """The files in a folder without folders, in no order; one that comes or goes meanwhile may be among them.

        A store is asked for a 64th of the names at a time, so that a list of millions takes little memory.
        """
        if self._local:
            yield from self._entries(name)
            return
        self._files.invalidate_cache()
        for first in FIRSTS:
            found = self._files.find(self._path(name), detail=True, prefix=first)
            for each in (_file(info) for info in found.values() if info["type"] == "file"):
                if each.name.startswith(first):  # some stores know of no prefix
                    yield each
            self._files.invalidate_cache()

    def _entries(self, name: str) -> Iterator[File]:
        try:
            with os.scandir(self._path(name)) as entries:
                for entry in entries:
                    try:
                        told = entry.stat()
                    except FileNotFoundError:
                        continue
                    if entry.is_file():
                        yield File(entry.name, told.st_size, told.st_mtime)
        except FileNotFoundError:
            return

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


def _file(info: dict[str, Any]) -> File:
    told = next((info[key] for key in _MODIFIED if info.get(key)), None)
    if isinstance(told, str):
        told = datetime.fromisoformat(told)
    modified = told.timestamp() if isinstance(told, datetime) else told
    return File(_last(info["name"]), int(info["size"] or 0), modified)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
