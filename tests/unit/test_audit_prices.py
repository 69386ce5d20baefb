"""What the audit mends is priced by a book that workers have, too: else its rows would beat fuller ones of theirs."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.audit.run import Audit, NoPrices
from pipeline.config import Settings
from pipeline.ops.reprice.run import TAKEN_SECONDS
from pipeline.registry import Registry, open_registry


async def waited(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], int]:
    """(the pauses before mending, the epoch that is mended under)."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    audit = Audit.__new__(Audit)
    audit._registry, audit._price = registry, NoPrices()
    await audit._take_prices()
    await audit._take_prices()  # known now
    return pauses, audit._price.epoch


async def test_a_book_that_was_just_published_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = open_registry(Settings(data_dir=tmp_path).registry)
    published, _ = registry.publish_prices({}, "base")
    pauses, epoch = await waited(registry, monkeypatch)
    age = (datetime.now(UTC) - published.published_at).total_seconds()
    assert epoch == published.epoch
    assert len(pauses) == 1
    assert TAKEN_SECONDS - age <= pauses[0] <= TAKEN_SECONDS
    registry.close()


async def test_without_a_published_book_nothing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = open_registry(Settings(data_dir=tmp_path).registry)
    assert await waited(registry, monkeypatch) == ([0.0], 0)
    registry.close()
