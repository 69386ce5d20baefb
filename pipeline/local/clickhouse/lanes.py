"""Threads for blocking steps: lanes for inserts, for slow statements, and for those that take no time.

Problem: the engine's calls block, and slow SELECTs must never keep an insert, or a KILL, waiting.
Rule: each lane runs a bounded number of statements at once; the others of that lane wait for their turn.
A step that has begun cannot be interrupted: whoever stops waiting for it calls `settle` before using its objects.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


class Turn:
    """The right to run steps, one after the other, in a lane."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._step: asyncio.Future[object] | None = None

    async def run(self, step: Callable[[], T]) -> T:
        """Run one step in a thread. Cancelled, the step goes on until `settle`."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, step)
        self._step = future  # type: ignore[assignment]  # Future is invariant; only its end is waited for
        return await asyncio.shield(future)

    async def settle(self) -> None:
        """Wait until no step runs; its outcome belongs to whoever called `run`."""
        if self._step is not None:
            await asyncio.wait([self._step])
            self._step.cancelled() or self._step.exception()  # marks an outcome that nobody waits for as seen


class Lane:
    """At most `width` statements at once."""

    def __init__(self, name: str, width: int) -> None:
        self._threads = ThreadPoolExecutor(width, thread_name_prefix=name)
        self._free = asyncio.Semaphore(width)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a turn; it ends when its last step has."""
        async with self._free:
            turn = Turn(self._threads)
            try:
                yield turn
            finally:
                await turn.settle()

    def close(self) -> None:
        """End the threads, after the steps that still run."""
        self._threads.shutdown(wait=True)
