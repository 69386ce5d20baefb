"""Media leave with the rows that refer to them.

Rule: of a project whose rows leave after so many days, a medium leaves once nobody has wanted it for these days and
MARGIN more, and no row and no dead letter of the project refers to it: rows of pinned traces do, and so do rows that
ClickHouse has not removed yet. MARGIN is longer than the log keeps an event that no worker has folded. Media that are
held (declared for a dataset's item) stay, and where rows stay for ever, so do media. A declaration whose bytes did
not come within MARGIN leaves in any case, and so does what is left of an upload or a removal that was broken off.
Somebody may want a medium while it is removed: blobs/media.py tells why it is there for them all the same.
What it costs: a list of the project's files, a look at the column `media_ids` for each PIECE of media that are old
enough, and some requests to the blob store for each medium that leaves.
Failure: StoreError. Broken off and repeated, it goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.blobs import File, Media, MediaStore
from pipeline.blobs.media import DECLARED, LEAVING, THERE
from pipeline.blobs.store import PART
from pipeline.ops.retention.rules import Rules
from pipeline.store.errors import StoreError
from pipeline.store.retention import DAY_SECONDS, Kind

MARGIN = 8 * DAY_SECONDS  # the log keeps events for 7 days
PIECE = 20_000  # media about which ClickHouse is asked at once
AT_ONCE = 8

_QUERY = Path(__file__).parent / "sql" / "referred.sql"
_LONG_QUERY = {"max_query_size": 64 * 2**20}  # bytes; the media are named in it


@dataclass(slots=True)
class Swept:
    """What a project's media came to."""

    project_id: str
    looked_at: int = 0  # media that nobody has wanted for long enough
    referred: int = 0  # of them: stay, since a row or a dead letter refers to them
    removed: int = 0  # of them: left, or would leave
    bytes: int = 0  # of those
    orphans: int = 0  # declarations whose bytes never came: left, or would leave


class Sweep:
    """One look at all media. With `dry_run` it changes nothing; `stop` tells that it is to end before its end."""

    def __init__(
        self,
        client: Client,
        store: MediaStore,
        rules: Rules,
        *,
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[Swept], None] = lambda _: None,
    ) -> None:
        """`progress` is told of a project now and then, and at its end."""
        self._client, self._store, self._rules = client, store, rules
        self._dry_run, self._stop, self._progress = dry_run, stop, progress

    def run(self, projects: Sequence[str] = ()) -> list[Swept]:
        """These projects, or all that have media."""
        found = []
        for project_id in projects or self._store.projects():
            if self._stop():
                break
            try:
                found.append(self._project(project_id, time.time()))
            except OSError as error:
                raise StoreError(
                    f"The store of media failed at the project {project_id!r}: {error!r}",
                    remedy="Check SPANFOLD_BLOB_URL and the rights on it, then run the command again: it goes on.",
                ) from error
        return found

    def _project(self, project_id: str, now: float) -> Swept:
        swept = Swept(project_id)
        days = self._rules.days(project_id, Kind.ROWS)[0]
        before = now - MARGIN - days * DAY_SECONDS if days > 0 else 0.0
        with ThreadPoolExecutor(AT_ONCE, "sweep") as threads:
            old = self._old(swept, before, now)
            while (piece := list(islice(old, PIECE))) and not self._stop():
                referred = self._referred(project_id, piece)
                swept.looked_at += len(piece)
                swept.referred += len(referred)
                others = [media_id for media_id in piece if media_id not in referred]
                for media in threads.map(partial(self._remove, project_id, before), others):
                    if media is not None:
                        swept.removed += 1
                        swept.bytes += media.content_length
                self._progress(swept)
        self._progress(swept)
        return swept

    def _old(self, swept: Swept, before: float, now: float) -> Iterator[str]:
        """Ids of media that were not wanted since `before`; what is no medium is seen to on the way."""
        for file in self._store.files(swept.project_id):
            if self._stop():
                return
            if file.name.endswith(DECLARED):
                self._declaration(swept, file, now - MARGIN)
            elif file.name.endswith(THERE):
                if _before(file, before):
                    yield file.name.removesuffix(THERE)
            elif file.name.endswith(LEAVING):
                if not self._dry_run:
                    self._store.mend(swept.project_id, file.name.removesuffix(LEAVING))
            elif PART in file.name and _before(file, now - MARGIN) and not self._dry_run:
                self._store.drop(swept.project_id, file.name)

    def _declaration(self, swept: Swept, file: File, before: float) -> None:
        """One that is old is of no use any more: the bytes have come, or never will."""
        if not _before(file, before):
            return
        media_id = file.name.removesuffix(DECLARED)
        declared = self._store.declared(swept.project_id, media_id)
        if declared is None or declared.held or declared.last_wanted >= before:
            return
        found = self._store.find(swept.project_id, media_id)
        swept.orphans += found is None or found.uploaded_at is None
        if not self._dry_run:
            self._store.drop(swept.project_id, file.name)

    def _referred(self, project_id: str, ids: Sequence[str]) -> set[str]:
        try:
            rows = self._client.query(
                _QUERY.read_text("utf-8"), parameters={"project": project_id, "ids": tuple(ids)}, settings=_LONG_QUERY
            ).result_rows
        except ClickHouseError as error:
            raise StoreError(
                f"Nobody could say which media of {project_id!r} rows refer to: {error}",
                remedy="Nothing of them was removed; run the command again.",
            ) from error
        return {str(media_id) for (media_id,) in rows}

    def _remove(self, project_id: str, before: float, media_id: str) -> Media | None:
        """Remove it, if it is still what it seemed; None where it stays."""
        media = None if self._stop() else self._store.find(project_id, media_id)
        if media is None or media.uploaded_at is None or media.held or media.last_wanted >= before:
            return None
        return media if self._dry_run or self._store.remove(project_id, media) else None


def _before(file: File, moment: float) -> bool:
    """Whether a file was not written since then, as far as its store can tell."""
    return file.modified is None or file.modified < moment
