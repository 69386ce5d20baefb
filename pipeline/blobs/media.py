"""Media by their content: what is declared about each, and its bytes once they are there and are what was declared.

Rule: an id is the first 22 characters of the URL-safe base64 of the SHA-256, which is 132 bits of it: the same bytes
have one id and are kept once in a project. `ID` holds the bytes; `ID.json` tells what they are and is written once they
are there, `ID.declared.json` what somebody says who means to send them: a declaration never touches what is there,
whatever comes first or at once. Bytes that do not have the declared hash and length never appear.
Whoever is about to refer to a medium says so first (`want`, `put`, `declare`). It then stays for a while though nothing
refers to it yet, and if it is just being removed, its bytes are asked for anew: see `remove`.
A project whose id makes no name of a folder has one by its hash, and a file beside that says whose it is.
Failure: MediaError for bytes that are not what was declared, OSError from the store. All calls block.
"""

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

import orjson

from pipeline.blobs.store import BlobStore, File, NewFile
from pipeline.errors import SpanfoldError

FRESH = 86_400.0  # seconds for which a medium that was wanted need not be told so again
THERE, DECLARED, LEAVING = ".json", ".declared.json", ".leaving"  # after the id
_FOLDER, _SWEPT = "project=", "media/swept"
_HASHED, _LONGEST = "project~", 247  # a name takes 255 bytes: with a longer id it is a hash
_NAMES = "media/names"  # what such a hash stands for


class MediaError(SpanfoldError):
    """The bytes that came are not those that were declared."""


class Media(NamedTuple):
    """What is known of one medium; `sha256` is standard base64, as clients send it. Times: seconds since the epoch."""

    id: str
    content_type: str
    content_length: int
    sha256: str
    uploaded_at: float | None = None  # None: its bytes are not there
    wanted_at: float = 0.0  # when somebody last was about to refer to it, to a day
    held: bool = False  # for what is no trace, such as a dataset's item: no row refers to it, and it stays

    @property
    def last_wanted(self) -> float:
        """When somebody last was about to refer to it."""
        return max(self.wanted_at, self.uploaded_at or 0.0)


class MediaStore:
    """The media of all projects in one blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def find(self, project_id: str, media_id: str) -> Media | None:
        """What is there, else what was declared, or None."""
        name = _name(project_id, media_id)
        there = self._read(name + THERE)
        if there is not None and there.uploaded_at is not None:
            return there
        if there is not None:  # a declaration by an older version, perhaps over what was there
            file = self._blobs.find(name)
            if file is not None and file.size == there.content_length:
                mended = there._replace(uploaded_at=file.modified or time.time())
                self._write(project_id, THERE, mended)
                return mended
        return self._read(name + DECLARED) or there

    def want(self, project_id: str, media_id: str, *, held: bool = False) -> Media | None:
        """Somebody is about to refer to it: 1 say so, 2 then see whether the bytes are there. None where they are not.

        1 is needless where somebody did so less than a day ago: what was wanted in the last days is not removed. 2 is
        not: that somebody may have missed the bytes, and may never bring them.
        """
        found = self.find(project_id, media_id)
        if found is None or found.uploaded_at is None:
            return None
        now = time.time()
        if now - found.last_wanted >= FRESH or (held and not found.held):
            found = found._replace(wanted_at=now, held=found.held or held)
            self._write(project_id, THERE, found)  # 1
        return found if self._blobs.find(_name(project_id, media_id)) else None  # 2

    def declare(self, project_id: str, media: Media) -> bool:
        """Somebody has these bytes; whether they are there already. If not, it is remembered what they will be."""
        if self.want(project_id, media.id, held=media.held) is not None:
            return True
        known = self.declared(project_id, media.id)
        held = media.held or (known is not None and known.held)  # who comes later, and for a trace, takes nothing back
        self._write(project_id, DECLARED, media._replace(wanted_at=time.time(), held=held))
        return False

    def put(self, project_id: str, media: Media, content: bytes) -> None:
        """Store bytes that are at hand, unless they are there. Raises MediaError where they are not what they claim."""
        if self.want(project_id, media.id) is None:
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

    def projects(self) -> list[str]:
        """The projects that have media."""
        folders = self._blobs.folders("media")
        named = (self._blobs.read(f"{_NAMES}/{name}") for name in folders if name.startswith(_HASHED))
        found = [unquote(name.removeprefix(_FOLDER)) for name in folders if name.startswith(_FOLDER)]
        return found + [name.decode() for name in named if name]

    def files(self, project_id: str) -> Iterator[File]:
        """What a project has, as files."""
        return self._blobs.files(_folder(project_id))

    def remove(self, project_id: str, seen: Media) -> bool:
        """Remove a medium as it was `seen`; False where somebody wanted it meanwhile, and it stays.

        1 The bytes are set aside. Who wants it before is seen in 2, and the bytes come back; who wants it later misses
        the bytes and stores them. 3 It is forgotten. 4 If somebody stored it between, it is known again. 5 What was
        set aside goes. A removal that was broken off is ended by `mend`. Two at once may leave a medium, or bytes of
        which nobody knows; neither loses one that is wanted.
        """
        name = _name(project_id, seen.id)
        aside = self._blobs.move(name, name + LEAVING)  # 1
        if self._read(name + THERE) != seen:  # 2
            if aside:
                self._blobs.move(name + LEAVING, name)
            return False
        self._blobs.remove(name + THERE)  # 3
        if self._blobs.find(name) is not None:  # 4
            self._write(project_id, THERE, seen._replace(wanted_at=time.time()))
        self._blobs.remove(name + LEAVING)  # 5
        return True

    def mend(self, project_id: str, media_id: str) -> None:
        """End a removal that was broken off: bytes that were set aside come back while the medium is known."""
        name = _name(project_id, media_id)
        if self._read(name + THERE) is not None and self._blobs.find(name) is None:
            self._blobs.move(name + LEAVING, name)
        self._blobs.remove(name + LEAVING)

    def drop(self, project_id: str, file: str) -> None:
        """Delete one of `files`: what was only declared, or a part of what never came whole."""
        self._blobs.remove(f"{_folder(project_id)}/{file}")

    def declared(self, project_id: str, media_id: str) -> Media | None:
        """What was declared last, whether the bytes have come or not."""
        return self._read(_name(project_id, media_id) + DECLARED)

    def uploaded(self, project_id: str, media: Media) -> None:
        """Its bytes are there now."""
        known = (self._read(_name(project_id, media.id) + kind) for kind in (THERE, DECLARED))
        held = media.held or any(each is not None and each.held for each in known)
        now = time.time()
        self._write(project_id, THERE, media._replace(uploaded_at=now, wanted_at=now, held=held))

    def create(self, project_id: str, media_id: str) -> NewFile:
        """Begin to write the bytes themselves."""
        self._tell_whose(project_id)
        return self._blobs.create(_name(project_id, media_id))

    def swept_at(self) -> float:
        """When retention last looked at all media; 0: never."""
        try:
            return float(self._blobs.read(_SWEPT) or b"0")
        except ValueError:
            return 0.0

    def remember_sweep(self, at: float) -> None:
        """Retention has looked at all of them."""
        file = self._blobs.create(_SWEPT)
        file.write(repr(at).encode())
        file.commit()

    def _read(self, name: str) -> Media | None:
        """None also for what is damaged, or of a version that tells more than this one knows: it is asked for anew."""
        content = self._blobs.read(name)
        try:
            return Media(**orjson.loads(content)) if content else None
        except (orjson.JSONDecodeError, TypeError):
            return None

    def _tell_whose(self, project_id: str) -> None:
        """Say whose a folder is whose name does not tell."""
        folder = _folder(project_id).removeprefix("media/")
        if folder.startswith(_HASHED) and self._blobs.read(f"{_NAMES}/{folder}") is None:
            file = self._blobs.create(f"{_NAMES}/{folder}")
            file.write(project_id.encode())
            file.commit()

    def _write(self, project_id: str, kind: str, media: Media) -> None:
        self._tell_whose(project_id)
        file = self._blobs.create(_name(project_id, media.id) + kind)
        file.write(orjson.dumps(media._asdict()))
        file.commit()


class Upload:
    """Bytes on their way in, hashed and counted: `write`, then `finish` or `discard`."""

    def __init__(self, store: MediaStore, project_id: str, media: Media) -> None:
        self._store = store
        self._project_id = project_id
        self._media = media
        self._file = store.create(project_id, media.id)
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
        self._store.uploaded(self._project_id, media)

    def discard(self) -> None:
        """Forget what came."""
        self._file.discard()


def _name(project_id: str, media_id: str) -> str:
    return f"{_folder(project_id)}/{media_id}"


def _folder(project_id: str) -> str:
    """A name that no project's id can leave: `.` and `..` are no folders here."""
    name = quote(project_id, safe="")
    if len(name) > _LONGEST:
        return f"media/{_HASHED}{hashlib.sha256(project_id.encode()).hexdigest()}"
    return f"media/{_FOLDER}{name}"
