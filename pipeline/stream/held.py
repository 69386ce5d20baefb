"""How much memory a worker's work takes, estimated from what is counted anyway. By it intake pauses and caches shrink.

The weights are measured (`python -m tests.bench.bench_weights`), rounded up. What does not come and go with the work is
left out: the process itself and what Kafka's client and Faust have fetched ahead, which settings of theirs bound. Both
are `BESIDE`, so a worker that may take so many bytes has that much less for its work.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.stream.batch import Batch
from pipeline.stream.partition import Partition
from pipeline.stream.waiting import Lane

MiB = 2**20
PROCESS = 136 * MiB  # a worker that has nothing to do: code, clients, threads
FETCHED = 64 * MiB  # chunks in Faust's queue and one fetch of each partition: see stream/app.py
BESIDE = PROCESS + FETCHED
ROW = 1_000  # bytes of an archived event that waits for its insert, beside its record's
WRITING = 2  # more bytes for each one of a batch that is being written: its block, encoded and compressed
WRITTEN = 1_000  # and for each of its events: rows
TAKEN = 2  # bytes for each one of a record that waits in a lane, with its events
RECORD = 2_500  # and for the record
SLEEPING = 250  # bytes of an open trace that is not in memory
KNOWN = 20  # bytes of a trace in the filter, of which an eighth waits in a set
LEAST = 0.1  # of their limit, that traces may always keep
GOAL = 0.85  # of the memory: what is left of it after a flush, so that a batch can be filled during the next one


class Held(NamedTuple):
    """Bytes of memory."""

    traces: int
    others: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.traces + self.others


def held(partitions: Iterable[Partition], filling: Batch, writing: Batch | None, lanes: Iterable[Lane]) -> Held:
    """What is held now."""
    traces = others = 0
    for partition in partitions:
        traces += partition.size
        others += SLEEPING * len(partition.sleeping) + KNOWN * len(partition.known)
    others += sum(TAKEN * lane.bytes + RECORD * lane.records for lane in lanes) + _size(filling)
    if writing is not None:
        others += _size(writing) + WRITING * writing.bytes + WRITTEN * writing.events
    return Held(traces, others)


def share_of_traces(now: Held, memory: int, limit: int) -> float:
    """Which share of their limit (bytes) traces may keep, so that all of it fits into `memory`."""
    return max(LEAST, min(1.0, (GOAL * memory - now.others) / limit))


def _size(batch: Batch) -> int:
    return batch.bytes + ROW * (len(batch.archive) + len(batch.moves) + len(batch.dead))
