"""How a worker process ends when it must not go on: at once, loudly, without flushing or committing anything.

What it had not committed is delivered again.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, NoReturn

import structlog

from pipeline.errors import SpanfoldError

log = structlog.get_logger(__name__)

EXIT_BUG = 70  # EX_SOFTWARE
EXIT_STOPPED = 78  # EX_CONFIG: a bad deploy
EXIT_USAGE = 2  # somebody has to change a setting


def die(event: str, **context: object) -> NoReturn:
    """A bug: say what happened."""
    log.critical(event, exc_info=True, **context)
    os._exit(EXIT_BUG)


class StopError(SpanfoldError):
    """This worker must not go on, and somebody has to act."""


def halt(error: StopError) -> NoReturn:
    """Say why, and what to do."""
    log.critical("worker_stopped", reason=error.args[0], remedy=error.remedy)
    os._exit(EXIT_STOPPED)


def refuse(event: str, complaint: str) -> NoReturn:
    """A setting is wrong: say which, and what to do."""
    log.critical(event, error=complaint)
    os._exit(EXIT_USAGE)


async def or_end(event: str, work: Coroutine[Any, Any, None]) -> None:
    """Await work whose failure is a bug and ends the process, whoever else would catch it."""
    try:
        await work
    except (asyncio.CancelledError, GeneratorExit):  # it is stopped, or nobody waits for it any more
        raise
    except StopError as error:
        halt(error)
    except BaseException:
        die(event)


def guarded(event: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """The same in the background."""
    return asyncio.create_task(or_end(event, work))
