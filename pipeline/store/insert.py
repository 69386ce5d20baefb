"""Inserts that end in one of two ways: every row is durable, or the few rows that ClickHouse refuses are handed back.

Problem: an insert fails for reasons of the server (all of them pass, given time) or of a row (none of them does).
Rule, by errors.py's classes:
1. SERVER: the same bytes are sent again for ever, under the same deduplication token, so a block whose answer got lost
   is stored once.
2. ROW: the bad rows are sifted out (sift.py), or, where nothing names them, the block is halved until each is alone.
   They are handed back as `Refused`, all others are stored.
3. SIZE, MEMORY: halved after a few tries. A single row too large for a limit is judged like 4, or a proxy with a small
   limit would stop everybody; one for which there is no memory, too, but after minutes: memory comes back.
4. UNKNOWN: a good row must never be refused for a fault of the server, so this is decided by experiment. After a few
   tries the block is halved. A row that fails alone is refused only when it fails once more between two proofs that the
   table takes rows: the row that it took last, sent again (every table replaces equal keys, so that is harmless). A
   table that gives no proof is at fault itself, and all is retried.
The token is the caller's, plus a hash of the bytes: should the same offsets ever give other rows (a late event was read
back in between), those rows must not be mistaken for the ones stored before.
Failure: none but cancellation, after which rows may or may not be stored; sending them again is harmless.
Configured by `Backoff`; the size of blocks and the time between them are the caller's.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar
from uuid import uuid4

import lz4.frame
import structlog
import xxhash
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from pipeline.store.error_codes import Blame
from pipeline.store.errors import StoreError, blame, error_code
from pipeline.store.native import EncodeError, encode
from pipeline.store.retry import Backoff, OnRetry, Outages
from pipeline.store.sift import Refused, Sifted, sift, sift_encodable
from pipeline.store.tables import TABLES, Table

__all__ = ["Inserter", "Refused"]

log = structlog.get_logger(__name__)

_SETTINGS = {
    "async_insert": 0,  # on by default since 26.x; it would answer before other rules of ours hold
    "wait_end_of_query": 1,  # an error is a status, not a surprise in the body
    "max_partitions_per_insert_block": 0,  # a replay may span more days than the default allows
}
THREADS = "insert"  # the names of the threads that encode and send begin with it
_SEND_ERRORS = (ClickHouseError, HTTPError, OSError, StoreError)
_QUICKLY = -3  # LZ4: 30 % less CPU than 0, 15 % more bytes on the wire; the tables have codecs of their own
_TRIES = 4  # before a block is halved for an error that may pass
_TRIES_ALONE = 60  # of a single row for which there is no memory: some five minutes
_SUSPECTS = 8  # judged together: so many rows that fail alone make the table itself a suspect

P = ParamSpec("P")
T = TypeVar("T")


class _Block(NamedTuple):
    """Rows as they go over the wire."""

    data: bytes  # Native, LZ4
    token: str


class _Sweep(NamedTuple):
    """What is not stored after one pass over a block."""

    refused: list[Refused]
    suspects: list[Refused]  # failed alone, for a reason unknown
    untried: list[NamedTuple]  # the pass ended early


class Inserter:
    """Stores rows through one client; concurrent calls are fine, one for each table of a flush being the idea."""

    def __init__(
        self, client: Client, *, backoff: Backoff | None = None, on_retry: OnRetry | None = None, threads: int = 4
    ) -> None:
        self._client = client
        self._backoff = backoff or Backoff()
        self._on_retry = on_retry
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=THREADS)
        self._outages = Outages()
        self._accepted: dict[str, NamedTuple] = {}  # the row that each table took last

    def close(self) -> None:
        """Stop the threads without waiting for requests under way. The client stays open: it is the caller's."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """Store `rows`, all of the row type of `table`; returns once all but the returned ones are durable.

        `token` names the rows across retries: topic, partition and offset range. Raises KeyError for an unknown table.
        """
        target, refused, pending, rounds = TABLES[table], list[Refused](), rows, 0
        while pending:
            sweep = await self._sweep(target, pending, token)
            guilty, undecided = await self._judge(target, sweep.suspects)
            refused += sweep.refused + guilty
            again = [suspect.row for suspect in undecided]
            pending = sweep.untried + again  # in this order, so that all get their turn
            if undecided:
                await self._pause(target, StoreError(undecided[0].message), rounds)
                rounds += 1
        for bad in refused:
            _tell(table, bad)
        return refused

    async def _sweep(self, table: Table, rows: Sequence[NamedTuple], token: str) -> _Sweep:
        """One pass: halve what fails until it is stored or a single row."""
        refused: list[Refused] = []
        suspects: list[Refused] = []
        parts = [(rows, token)]
        tries = _TRIES
        while parts and len(suspects) < _SUSPECTS:
            part, part_token = parts.pop()
            error = await self._store(table, part, part_token, tries)
            tries = 1  # waiting has been tried on the whole
            if error is None:
                continue
            if sifted := await self._sift(table, part, error):
                refused += sifted.refused
                parts += [(sifted.clean, f"{part_token}/clean")] if sifted.clean else []
            elif len(part) > 1:
                middle = len(part) // 2
                parts += [(part[middle:], f"{part_token}/1"), (part[:middle], f"{part_token}/0")]
            else:
                failed = refused if blame(error) is Blame.ROW else suspects
                failed.append(Refused(part[0], error_code(error), str(error)))
        return _Sweep(refused, suspects, [row for rest, _ in reversed(parts) for row in rest])

    async def _sift(self, table: Table, rows: Sequence[NamedTuple], error: Exception) -> Sifted | None:
        """The rows without those at fault, where these can be told at once."""
        if isinstance(error, EncodeError):
            return await self._in_thread(sift_encodable, table, rows)

        async def attempt(some: Sequence[NamedTuple]) -> Exception | None:
            return await self._store(table, some, f"sift-{uuid4()}", tries=1)

        return await sift(rows, error, attempt)

    async def _judge(self, table: Table, suspects: list[Refused]) -> tuple[list[Refused], list[Refused]]:
        """(those that fail while the table takes other rows, those nothing can be said about); the rest is stored."""
        guilty: list[Refused] = []
        undecided: list[Refused] = []
        for suspect in suspects:
            if undecided or not await self._takes_rows(table):
                undecided.append(suspect)
            elif await self._store(table, [suspect.row], f"again-{uuid4()}", tries=1) is not None:
                verdict = guilty if await self._takes_rows(table) else undecided
                verdict.append(suspect)
        return guilty, undecided

    async def _store(self, table: Table, rows: Sequence[NamedTuple], token: str, tries: int) -> Exception | None:
        """Send one block until it is stored, or until its error says that halving is the better way: that error."""
        try:
            block = await self._in_thread(_block, table, rows, token)
        except EncodeError as error:
            return error
        attempt = 0
        while True:
            try:
                await self._in_thread(self._send, table, block)
            except _SEND_ERRORS as error:
                attempt += 1
                if _gives_up(error, len(rows), attempt, tries):
                    return error
                await self._pause(table, error, attempt - 1)
            else:
                self._outages.stored(table.name)
                self._accepted[table.name] = rows[-1]
                return None

    async def _takes_rows(self, table: Table) -> bool:
        """Whether the table takes a row that it took before; False also where it has taken none yet."""
        row = self._accepted.get(table.name)
        if row is None:
            return False
        block = await self._in_thread(_block, table, [row], f"probe-{uuid4()}")
        try:
            await self._in_thread(self._send, table, block)
        except _SEND_ERRORS:
            return False
        return True

    async def _pause(self, table: Table, error: Exception, attempt: int) -> None:
        delay = self._backoff.delay(attempt)
        self._outages.failed(table.name, error)
        if self._on_retry is not None:
            self._on_retry(table.name, error, delay)
        await asyncio.sleep(delay)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    def _send(self, table: Table, block: _Block) -> None:
        answer = self._client.raw_insert(
            table.name,
            list(table.columns),
            block.data,
            settings=_SETTINGS | {"insert_deduplication_token": block.token},
            fmt="Native",
            compression="lz4",
        ).summary
        if not (answer.get("query_id") or "written_rows" in answer):  # its headers; a proxy's friendly page has none
            raise StoreError("The answer to an insert is not of ClickHouse.", remedy="See what stands between the two.")


def _tell(table: str, bad: Refused) -> None:
    """A refused row in the log; loudly where nobody has said yet what its code means."""
    known = bad.is_known
    say = log.error if known else log.critical
    say(
        "row_refused" if known else "row_refused_for_unknown_code",
        # What ClickHouse says may quote the value: that is in the dead letter and not for a log. Ours does not.
        table=table, code=bad.code, error=bad.message if bad.code is None else "",
        remedy="" if known else "Classify the code in pipeline/store/error_codes.py; its dead letters can be replayed.",
        **_ids(bad.row),
    )  # fmt: skip


def _block(table: Table, rows: Sequence[NamedTuple], token: str) -> _Block:
    data = encode(table, rows)
    return _Block(compressed(data), f"{token}:{xxhash.xxh3_64_hexdigest(data)}")


def compressed(block: bytearray) -> bytes:
    """A block as it is sent."""
    return bytes(lz4.frame.compress(block, compression_level=_QUICKLY))  # which copies nothing


def _ids(row: NamedTuple) -> dict[str, str]:
    """What a row is about, for the log."""
    return {"project": getattr(row, "project_id", ""), "trace": getattr(row, "trace_id", "")}


def _gives_up(error: Exception, rows: int, attempt: int, tries: int) -> bool:
    """Whether to stop sending the block as it is, after so many attempts; `tries`: waiting has had its chance."""
    match blame(error):
        case Blame.ROW:
            return True
        case Blame.UNKNOWN | Blame.SIZE:
            return attempt >= tries
        case Blame.MEMORY:
            return attempt >= (tries if rows > 1 else _TRIES_ALONE)
        case Blame.SERVER:
            return False
