"""What a worker knows of the registry: read once before the first event, then again now and then.

The hot path asks memory alone. A registry that does not answer, or answers with what cannot be read, leaves what was
read last, and a line in the log.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from pipeline.registry import Registry

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 5.0


class RegistryBook(ABC):
    """A part of the registry, in memory. `run` it beside the work, after the first `refresh`."""

    name: ClassVar[str]
    """What it is called in the log."""

    def __init__(self, registry: Registry, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._registry, self._refresh_seconds = registry, refresh_seconds

    @abstractmethod
    async def refresh(self) -> None:
        """Read everything once. Raises SQLAlchemyError where the registry does not answer."""

    async def run(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, ValueError) as error:  # the latter for what is no JSON in a column that holds some
                log.warning(f"{self.name}_not_refreshed", error=str(error)[:300])
