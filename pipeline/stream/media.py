"""Media that were taken out of events become durable before the events are folded: no row refers to what is not there.

The same bytes are written once. How it fails: a store of media that says no is asked again for ever, as ClickHouse is;
until it answers, the chunk with the media in it waits, and what comes after it in its partition.
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pipeline.blobs import Media, MediaStore
from pipeline.events.media import Medium
from pipeline.stream.persist import ask_store

AT_ONCE = 8


class MediaKeeper:
    """Writes media to the blob store, in threads."""

    def __init__(self, store: MediaStore) -> None:
        self._store = store

    async def __call__(self, found: Iterable[tuple[str, Medium]], unneeded: Callable[[], bool]) -> None:
        """Return when all of these (project, medium) are durable. Raises persist.Cancelled once `unneeded`."""
        media = list({(project_id, medium.id): (project_id, medium) for project_id, medium in found}.values())
        for first in range(0, len(media), AT_ONCE):
            await asyncio.gather(*self._puts(media[first : first + AT_ONCE], unneeded))

    def _puts(self, media: Sequence[tuple[str, Medium]], unneeded: Callable[[], bool]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(ask_store(partial(self._put, *each), unneeded)) for each in media]

    def _put(self, project_id: str, medium: Medium) -> None:
        sha256 = base64.b64encode(medium.sha256).decode()
        declared = Media(medium.id, medium.content_type, len(medium.content), sha256)
        try:
            self._store.put(project_id, declared, medium.content)
        except Exception as error:  # stores behind fsspec have errors of their own
            raise OSError(f"the medium {medium.id} was not stored: {error!r}") from error
