"""Blocking work beside the loop that nobody waits for once it is not wanted any more.

Problem: a thread of `asyncio.to_thread` cannot be cancelled, and the program does not end before it does; a stop that
comes while tables are made would hang until ClickHouse, already stopped, is given up on.
Rule: the work runs in a daemon thread, which ends with the program.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_background(work: Callable[[], Result]) -> Result:
    """Run `work` in a daemon thread; its result, or the exception that it raised. Cancelling abandons it."""
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    outcome: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # handed to the one who awaits
            outcome.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody awaits any more
            loop.call_soon_threadsafe(finished.set)

    threading.Thread(target=run, name="background", daemon=True).start()
    await finished.wait()
    return outcome.result()
