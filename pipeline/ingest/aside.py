"""Large events are read in processes beside the event loop.

Problem: reading one event of 4 MB that is made of small objects takes 100 ms and more, all of it in one call that holds
the interpreter's lock: on the loop or in a thread, every other request would wait for it.
Rule: events up to 256 KB are read at once, larger ones by one of two processes. One is started beside the front door's
own start (it takes a second or more), the other when both are needed; they end with the front door, however it ends.
Failure: where such a process dies or cannot be started (the system is out of memory), the event is read in a thread
and the next large one gets new processes.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import structlog

from pipeline.ingest.answers import EventError
from pipeline.ingest.auth import Principal
from pipeline.ingest.judge import Accepted, Understood, accepted, understand
from pipeline.ingest.lanes import Headers

log = structlog.get_logger(__name__)

LARGE_BYTES = 256 * 1024
_PROCESSES = 2
_NO_PROCESS = (BrokenProcessPool, OSError)  # it died; the system starts no other (memory, a limit of processes)


class Aside:
    """Judges events of any size; lives in one event loop."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def judge(self, principal: Principal, raw: bytes, limit: int, common: Headers) -> Accepted | EventError:
        """As `judge.judge`."""
        if LARGE_BYTES < len(raw) <= limit:
            understood = await self._elsewhere(principal, raw, limit)
        else:
            understood = understand(principal, raw, limit)
        return understood if isinstance(understood, EventError) else accepted(principal, raw, understood, common)

    async def warm_up(self) -> None:
        """Start a process, before the first large event needs it; returns when it can take one."""
        pool = self._pool = self._pool or _new_pool()
        try:
            await asyncio.get_running_loop().run_in_executor(pool, _is_there)
        except _NO_PROCESS:
            log.warning("reading_process_died", remedy="The next large event starts another.")
            if self._pool is pool:
                self.close()

    def close(self) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _elsewhere(self, principal: Principal, raw: bytes, limit: int) -> Understood | EventError:
        pool = self._pool = self._pool or _new_pool()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, understand, principal, raw, limit)
        except _NO_PROCESS:
            log.warning("reading_process_died", project=principal.project.id, remedy="This event is read in a thread.")
            if self._pool is pool:
                self.close()
            return await asyncio.to_thread(understand, principal, raw, limit)


def _new_pool() -> ProcessPoolExecutor:
    """Spawned, not forked: a fork would copy the loop's threads and connections."""
    return ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn"), initializer=_begin)


def _is_there() -> None:
    """In the process: everything is imported by now."""


def _begin() -> None:
    """In the new process: leave Ctrl-C to the front door, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
