"""Waiting, at the start of a process, for what it needs: Kafka, ClickHouse, the registry's database.

Rule: what does not answer is waited for, for as long as it takes, with a line in the log every few seconds; a restart
would not help, and services start in any order. What waiting cannot cure is an error at once: a refused password, a
setting that makes no sense. A name that leads nowhere is given `UNKNOWN_WITHIN` seconds, since names of services that
are starting may come late; then it is an error, too.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from pipeline.errors import AbsentError, SettingError

log = structlog.get_logger(__name__)
T = TypeVar("T")

ASK_AGAIN = 2.0  # seconds
UNKNOWN_WITHIN = 20.0  # seconds
_UNKNOWN = ("Name or service not known", "No address associated", "nodename nor servname", "NameResolutionError")
_FOR_NOW = "Temporary failure in name resolution"


class Waiting:
    """What a process waits for; `complaint` is a check of health.py."""

    def __init__(self) -> None:
        self._message = ""

    def complaint(self) -> str:
        """What is missing."""
        return self._message

    async def until(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of `ask`, which raises AbsentError while there is none.

        Raises SettingError for a name that leads nowhere, and whatever else `ask` raises.
        """
        began = time.monotonic()
        while True:
            try:
                answer = await ask()
            except AbsentError as error:
                seconds = time.monotonic() - began
                if error.unknown and seconds >= UNKNOWN_WITHIN:
                    raise SettingError(error.args[0], remedy=error.remedy) from error
                self._message = f"{what} does not answer."
                log.warning(
                    "waiting", what=what, error=error.args[0], remedy=error.remedy, seconds=round(seconds),
                    retry_in=ASK_AGAIN,
                )  # fmt: skip
            else:
                self._message = ""
                return answer
            await asyncio.sleep(ASK_AGAIN)


def until(what: str, ask: Callable[[], T]) -> T:
    """As Waiting.until, for a process without a loop yet. `ask` blocks."""

    async def once() -> T:
        return ask()

    return asyncio.run(Waiting().until(what, once))


def is_unknown(error: BaseException) -> bool:
    """True where an error, or what it comes from, says that a name leads nowhere; not where that may be for now."""
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_AGAIN
    text = str(error)
    return any(words in text for words in _UNKNOWN) and _FOR_NOW not in text
