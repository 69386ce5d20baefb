"""How long a worker's rows stay: each project's retention and the pinned traces, read from the registry now and then.

Call for the moment in which a row may leave; it is written into the row. What changes later is put right by
`spanfold retention apply` and `spanfold pin`.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from pipeline.registry import Registry, RetentionDays
from pipeline.store.retention import DEFAULT_DAYS, FOREVER, Kind, expiry
from pipeline.stream.registry_book import RegistryBook


class Keeps(Protocol):
    """Who knows how long things stay."""

    def rows_until(self, project_id: str, trace_id: str, since: int) -> int:
        """When the rows of a trace that was first seen at `since` (microseconds) may leave, in seconds."""

    def archive_until(self, project_id: str, trace_id: str, since: int) -> int:
        """When an event that the log took at `since` (microseconds) may leave the archive, in seconds."""


class KeepForEver:
    """For who has no registry: nothing expires."""

    def rows_until(self, project_id: str, trace_id: str, since: int) -> int:
        """Never."""
        return FOREVER

    def archive_until(self, project_id: str, trace_id: str, since: int) -> int:
        """Never."""
        return FOREVER


class RetentionBook(RegistryBook):
    """The retention of all projects."""

    name = "retention"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._rows: Mapping[str, int] = {}
        self._archive: Mapping[str, int] = {}
        self._letters: Mapping[str, int] = {}
        self._others = (DEFAULT_DAYS[Kind.ROWS], DEFAULT_DAYS[Kind.ARCHIVE])
        self._other_letters = DEFAULT_DAYS[Kind.DEAD_LETTERS]
        self._pins: frozenset[tuple[str, str]] = frozenset()

    def rows_until(self, project_id: str, trace_id: str, since: int) -> int:
        """When the rows of a trace that was first seen at `since` (microseconds) may leave, in seconds."""
        if self._pins and (project_id, trace_id) in self._pins:
            return FOREVER
        return expiry(since, self._rows.get(project_id, self._others[0]))

    def archive_until(self, project_id: str, trace_id: str, since: int) -> int:
        """When an event that the log took at `since` (microseconds) may leave the archive, in seconds."""
        if self._pins and (project_id, trace_id) in self._pins:
            return FOREVER
        return expiry(since, self._archive.get(project_id, self._others[1]))

    def letters_until(self, project_id: str, since: int) -> int:
        """When a dead letter that failed at `since` (microseconds) may leave, in seconds."""
        return expiry(since, self._letters.get(project_id, self._other_letters))

    async def refresh(self) -> None:
        """Read everything once."""
        said, pins = await asyncio.to_thread(self._read)
        everyone = said.pop("", RetentionDays())
        rows, archive = _first(everyone.rows, Kind.ROWS), _first(everyone.archive, Kind.ARCHIVE)
        self._others = (rows, archive)
        self._other_letters = _first(everyone.dead_letters, Kind.DEAD_LETTERS)
        self._letters = {name: days.dead_letters for name, days in said.items() if days.dead_letters is not None}
        self._rows = {project: days.rows for project, days in said.items() if days.rows is not None}
        self._archive = {project: days.archive for project, days in said.items() if days.archive is not None}
        self._pins = pins

    def _read(self) -> tuple[dict[str, RetentionDays], frozenset[tuple[str, str]]]:
        pins = frozenset((pin.project_id, pin.trace_id) for pin in self._registry.pins())
        return self._registry.retention(), pins


def _first(said: int | None, kind: Kind) -> int:
    return DEFAULT_DAYS[kind] if said is None else said
