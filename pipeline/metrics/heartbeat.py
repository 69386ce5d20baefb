"""Whether an event loop still turns.

Problem: a loop that is blocked (a loop without end in a decoder, a lock, a call that should have been made in a thread)
looks like a process that has nothing to do: it holds its partitions and does nothing.
Rule: a task beats twice a second and says how late it was; a thread listens. Silence of `limit` seconds makes
`complaint` say so, and the stacks of all threads go to the log, once for each silence. Code that never lets go of the
interpreter's lock keeps that thread from running, too: for this case faulthandler's own thread, which needs no lock,
writes the stacks to stderr a moment later. The thread that listens also gives free memory back (heap.py).
Configured by SPANFOLD_STUCK_AFTER.
"""

import asyncio
import faulthandler
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.metrics import heap
from pipeline.metrics.names import Metric
from pipeline.metrics.registry import Metrics

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds
_STDERR = 2
_ARM_EVERY = 5.0  # seconds
_LAST_RESORT = 5.0  # seconds after the limit


class Heartbeat:
    """`with heart.listening():` around the life of a loop, and `run()` as a task in it."""

    def __init__(self, limit: float, metrics: Metrics) -> None:
        self._limit, self._metrics = limit, metrics
        self._heard = time.monotonic()
        self._told = False

    async def run(self, *, last_resort: bool = True) -> None:
        """Beat for ever. `last_resort`: also have faulthandler look, of which a process has only one."""
        loop, armed = asyncio.get_running_loop(), 0.0
        try:
            while True:
                now = self._heard = time.monotonic()
                if last_resort and now - armed > min(_ARM_EVERY, self._limit / 2):
                    faulthandler.dump_traceback_later(self._limit + _LAST_RESORT, file=_STDERR)
                    armed = now
                due = loop.time() + EVERY
                await asyncio.sleep(EVERY)
                self._metrics.observe(Metric.LOOP_DELAY, max(0.0, loop.time() - due))
        finally:
            if last_resort:
                faulthandler.cancel_dump_traceback_later()

    def silence(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._heard

    def complaint(self) -> str:
        """What is wrong, as health.py wants it."""
        silence = self.silence()
        return f"The event loop has not turned for {silence:.1f} s." if silence > self._limit else ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Have a thread listen until the block ends."""
        self._heard = time.monotonic()
        over = threading.Event()

        def listen() -> None:
            given_back = time.monotonic()
            while not over.wait(min(1.0, self._limit / 4)):
                self.check()
                if time.monotonic() - given_back > heap.EVERY:
                    heap.give_back()
                    given_back = time.monotonic()

        thread = threading.Thread(target=listen, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def check(self) -> None:
        """Log the stacks of all threads when a silence is too long; once for each."""
        if not (complaint := self.complaint()):
            self._told = False
        elif not self._told:
            self._told = True
            log.critical("stuck: %s The stacks of all threads follow.\n%s", complaint, stacks())


def stacks() -> str:
    """Where every thread of this process is now, the main thread first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sorted(sys._current_frames().items(), key=lambda each: each[0] != threading.main_thread().ident)
    parts = (f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}" for ident, frame in frames)
    return "\n".join(parts)
