"""Media that were taken out of events become durable before the events are folded: no row refers to what is not there.

The same bytes are written once. A store of media may be slow, and a worker takes chunks one after the other, so nobody
else waits for it: the records with media in them wait in a lane beside, one for each partition, and the media have
threads of their own.
How it fails: a store of media that says no is asked again for ever, as ClickHouse is; until it answers, nothing of the
partition is committed from the first chunk with media on.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipeline.blobs import Media, MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.events.media import Medium
from pipeline.metrics import UNSEEN, Metrics
from pipeline.stream.intake import Taken
from pipeline.stream.persist import ask_store
from pipeline.stream.waiting import Lane

Keep = Callable[[Sequence[tuple[str, Medium]], Callable[[], bool]], Awaitable[None]]
"""Returns when all of these (project, medium) are durable; raises persist.Cancelled once that is unneeded."""

AT_ONCE = 8


class MediaKeeper:
    """Writes media to the blob store, in threads."""

    def __init__(self, store: MediaStore, metrics: Metrics = UNSEEN) -> None:
        self._store, self._metrics = store, metrics
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="media")

    async def __call__(self, found: Iterable[tuple[str, Medium]], unneeded: Callable[[], bool]) -> None:
        """Return when all of these (project, medium) are durable. Raises persist.Cancelled once `unneeded`."""
        media = list({(project_id, medium.id): (project_id, medium) for project_id, medium in found}.values())
        for first in range(0, len(media), AT_ONCE):
            await asyncio.gather(*self._puts(media[first : first + AT_ONCE], unneeded))

    def _puts(self, media: Sequence[tuple[str, Medium]], unneeded: Callable[[], bool]) -> list[asyncio.Task[None]]:
        asked = (partial(self.put, *each) for each in media)
        return [
            asyncio.create_task(ask_store(question, unneeded, self._metrics, threads=self._threads))
            for question in asked
        ]

    def put(self, project_id: str, medium: Medium) -> None:
        """Store one medium, unless it is there. Blocks; raises OSError where the store says no."""
        sha256 = base64.b64encode(medium.sha256).decode()
        declared = Media(medium.id, medium.content_type, len(medium.content), sha256)
        try:
            self._store.put(project_id, declared, medium.content)
        except Exception as error:  # stores behind fsspec have errors of their own
            raise OSError(f"the medium {medium.id} was not stored: {error!r}") from error


def open_media(settings: Settings, metrics: Metrics = UNSEEN) -> MediaKeeper:
    """The keeper of these settings. Raises SettingError where their store of media cannot be opened."""
    return MediaKeeper(MediaStore(open_blobs(settings.blobs)), metrics)


class MediaLane(Lane):
    """One partition's records that wait for their media. `go_on` is told of those that need not any more."""

    def __init__(
        self, keep: Keep, unneeded: Callable[[], bool], go_on: Callable[[Taken], Awaitable[None]], max_bytes: int
    ) -> None:
        super().__init__(unneeded, max_bytes)
        self._keep, self._go_on = keep, go_on

    async def _work_off(self) -> None:
        first = self._waiting[0]
        await self._keep(first.media, self._unneeded)
        await self._go_on(first)
        self._done(first)
