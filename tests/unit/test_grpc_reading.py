"""Who opens streams of gRPC and sends nothing keeps nobody else out, and not for ever (I8)."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.ingest import otlp_grpc
from pipeline.ingest.answers import ApiError
from pipeline.ingest.otlp_grpc import GrpcDoor


def door() -> GrpcDoor:
    """With four places for messages."""
    front: Any = SimpleNamespace(settings=Settings(held_bytes=4 * 2**20, max_export_bytes=2**20))
    return GrpcDoor(front)


async def silence() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def one() -> AsyncIterator[bytes]:
    yield b"message"


async def test_a_project_that_sends_nothing_takes_no_place_of_another() -> None:
    grpc_door = door()
    silent = [asyncio.create_task(grpc_door._read("silent", silence())) for _ in range(20)]
    try:
        async with asyncio.timeout(5):
            assert await grpc_door._read("other", one()) == b"message"
    finally:
        for task in silent:
            task.cancel()
        await asyncio.gather(*silent, return_exceptions=True)


async def test_a_message_that_does_not_come_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "_PATIENCE", 0.05)
    grpc_door = door()
    answers = await asyncio.gather(*(grpc_door._read("silent", silence()) for _ in range(5)), return_exceptions=True)
    assert [answer.status for answer in answers if isinstance(answer, ApiError)] == [408] * 5
    assert await grpc_door._read("silent", one()) == b"message"
