"""The HTTP side of the demo: batches to the front door, as a Langfuse SDK sends them.

Fails with FrontDoorError where a batch is not answered 207 or an event was not stored; nothing is counted as accepted
that the front door did not say so of.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from pipeline.errors import SpanfoldError
from pipeline.local.stack import Stack

ROUTE = "/api/public/ingestion"
_ACCEPTED, _TIMEOUT = 207, 60.0  # the status of an answered batch; seconds


class FrontDoorError(SpanfoldError):
    """The front door did not take what the demo sent."""


class Answer(NamedTuple):
    """Events of a batch that are stored, and those that were refused for what is in them."""

    accepted: int
    refused: int


class Front:
    """A client of a stack's front door."""

    def __init__(self, session: aiohttp.ClientSession, log: str) -> None:
        self._session = session
        self._log = log

    async def post(self, batch: dict[str, Any]) -> Answer:
        """Send one batch. Raises FrontDoorError."""
        body = json.dumps(batch).encode()
        try:
            async with self._session.post(ROUTE, data=body, headers={"Content-Type": "application/json"}) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._error(f"does not answer: {error or type(error).__name__}") from error
        if response.status != _ACCEPTED:
            raise self._error(f"answered {response.status}: {text[:300]}")
        answer = json.loads(text)
        lost = [error for error in answer["errors"] if error["status"] >= 500]
        if lost:
            raise self._error(f"could not store {len(lost)} events, the first one is {lost[0]['id']}")
        return Answer(len(answer["successes"]), len(answer["errors"]))

    def _error(self, what: str) -> FrontDoorError:
        return FrontDoorError(f"The front door {what}.", remedy=f"With --keep its log stays: {self._log}")


@asynccontextmanager
async def front_of(stack: Stack) -> AsyncIterator[Front]:
    """A client with the stack's own keys."""
    auth = aiohttp.BasicAuth(stack.public_key, stack.secret_key)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with aiohttp.ClientSession(stack.http, auth=auth, timeout=timeout) as session:
        yield Front(session, f"{stack.data}/logs/ingest.log")
