"""What Kafka's client fetched, as the stream's own records at once: one object for a record instead of three.

Problem: aiokafka makes an object of eleven fields of every record (in Python), from which ours was made: two thirds of
the 2.3 µs that a record took between the socket and the agent.
Rule: aiokafka's `PartitionRecords` asks its `_consumer_record` for what it hands out; the fetches of our consumer get
another one. How batches are read, checked and skipped stays aiokafka's. Other consumers of the process see nothing.
Failure: an aiokafka that has no such names is found when a worker starts, and by tests/unit/test_fetched.py.
"""

from collections import OrderedDict
from typing import Any

from pipeline.events.model import Record, appended_at

_NO_TIME = appended_at(None)


def hand_out_records(consumer: Any) -> None:
    """From now on this (started) AIOKafkaConsumer hands out Records, their timestamps in microseconds."""
    fetcher = consumer._fetcher
    fetched = _Fetched()
    fetched.update(fetcher._records)
    fetcher._records = fetched


class _Fetched(OrderedDict[Any, Any]):
    """What the fetcher keeps by partition: results, and errors, which hold no records."""

    def __setitem__(self, tp: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)
        if records is not None:
            records._consumer_record = _record
        super().__setitem__(tp, result)


def _record(tp: tuple[str, int], raw: Any) -> Record:
    topic, partition = tp
    at = raw.timestamp
    timestamp = _NO_TIME if at is None else at * 1000  # as appended_at, without a call
    return tuple.__new__(Record, (topic, partition, raw.offset, timestamp, raw.key, raw.value, tuple(raw.headers)))
