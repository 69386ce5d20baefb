"""A rolling restart under load: the longest gap in freshness while each of four workers is stopped and started again.

A finished trace of ten events is sent every 50 ms; the clock of each starts when Kafka has acknowledged it and stops
when a query of the view has found it. Twice: with static membership (SPANFOLD_INSTANCE_ID) and without.
`python -m tests.bench.bench_rolling [WORKERS]`; about a minute each.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer

from tests.bench.freshness import PROJECT, Sightings, watched_request
from tests.bench.services import broker_and_store
from tests.fixtures.captures import langfuse_record
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

EVERY = 0.05  # seconds between two traces
CALM = 6.0  # seconds without a restart before the first and after the last
PAUSE = 2.0  # and between two
GIVE_UP = 30.0  # seconds after which a trace will not be seen any more


class Watched(Sightings):
    """Traces on their way, and how long each took."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.client)
        self.stack = stack
        self.traces = 0
        self.places: dict[str, tuple[int, int]] = {}  # partition and offset of what is watched

    async def send(self) -> None:
        """Until it is over."""
        settings = self.stack.settings
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all") as producer:
            while not self.over.is_set():
                id_, body = watched_request(self.traces)
                records = [langfuse_record(event, PROJECT) for event in json.loads(body)["batch"]]
                sends = [
                    await producer.send(settings.events_topic, each.value, key=each.key, headers=list(each.headers))
                    for each in records
                ]
                told = await asyncio.gather(*sends)
                self.places[id_] = (told[-1].partition, told[-1].offset)
                self.sent(id_)
                self.traces += 1
                await asyncio.sleep(EVERY)

    def run(self) -> None:
        """Both, in a thread of their own."""

        async def both() -> None:
            await asyncio.gather(self.send(), self.look(GIVE_UP))

        asyncio.run(both())


def restart_all(stack: Stack, workers: int, *, static: bool) -> tuple[Watched, list[float], float]:
    """Roll through all workers; what was watched, seconds of each restart, and when the first began."""
    ids = [f"worker-{number}" if static else "" for number in range(workers)]
    running: list[WorkerProcess] = [
        stack.worker(f"w{number}", instance_id=id_, session_timeout=10.0) for number, id_ in enumerate(ids)
    ]
    watched = Watched(stack)
    thread = threading.Thread(target=watched.run)
    thread.start()
    time.sleep(CALM)
    began, took = time.monotonic(), []
    for number, id_ in enumerate(ids):
        at = time.monotonic()
        assert running[number].stop() == 0
        running[number] = stack.worker(f"w{number}-again", instance_id=id_, session_timeout=10.0)
        took.append(time.monotonic() - at)
        time.sleep(PAUSE)
    time.sleep(CALM)
    watched.over.set()
    thread.join()
    for worker in running:
        worker.stop()
    return watched, took, began


def lost(watched: Watched, began: float) -> Iterator[str]:
    """What became of each trace that was never seen."""
    stack = watched.stack
    for id_, sent in watched.pending.items():
        partition, offset = watched.places[id_]
        where = f"partition = {partition} AND"
        archived = stack.count(f"SELECT count() FROM raw_events WHERE {where} offset = {offset}")
        covers = (
            f"SELECT first, last, events, new FROM offset_ranges WHERE {where} first <= {offset} AND last >= {offset}"
        )
        ranges = stack.client.query(covers).result_rows
        rows = stack.count(f"SELECT count() FROM observations_rows WHERE observation_id = '{id_}'")
        yield f"  {id_} sent at {sent - began:.1f} s: {partition}/{offset}, archived {archived}, rows {rows}, "
        yield f"ranges {ranges}\n"


def main(workers: int = 4) -> None:
    """A line for each way."""
    with tempfile.TemporaryDirectory() as folder, broker_and_store(Path(folder)) as (kafka, store):
        for static in (True, False):
            stack = new_stack(kafka, store, Path(folder) / f"{static}")
            watched, took, began = restart_all(stack, workers, static=static)
            before = [seconds for sent, seconds in watched.fresh if sent < began - 2]
            during = [seconds for sent, seconds in watched.fresh if sent >= began - 2]
            print(
                f"{datetime.now(UTC):%H:%M} {workers} workers, {'static' if static else 'dynamic'}: "
                f"restarts took {', '.join(f'{seconds:.1f}' for seconds in took)} s; "
                f"before p50 {statistics.median(before):.2f} s, longest {max(before):.2f} s; "
                f"during p50 {statistics.median(during):.2f} s, "
                f"p99 {statistics.quantiles(during, n=100)[98]:.2f} s, "
                f"longest {max(during):.2f} s; {watched.traces} sent, {len(watched.pending)} never seen",
                flush=True,
            )
            print("".join(lost(watched, began)), end="", flush=True)
            stack.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
