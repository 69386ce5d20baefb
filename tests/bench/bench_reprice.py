"""History priced again at full size, on the real stack: killed half-way, resumed, with new events meanwhile.

1 Traces of eight observations go through broker and worker under the first book; what they cost is checked.
2 A contract is published; from here on events for old traces (a new call, an old one's usage mended) keep coming.
3 `spanfold reprice`, SIGKILL once half of the history is written; the same command again; once more.
4 Every trace's cost, every root's sum and every model's total are those of prices and counts written down here, and
  the last run has written nothing. Anything else is an AssertionError.

`python -m tests.bench.bench_reprice [OBSERVATIONS]`; half an hour with 1,000,000 on two cores that had much else to do.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pipeline.events.keys import record_key
from pipeline.kafka_client import kafka_options
from pipeline.ops.bench.fill import fill
from pipeline.ops.bench.traffic import PROJECT, Outgoing
from tests.bench.services import broker_and_store
from tests.fixtures.worker import Stack, WorkerProcess, environment, new_stack

DAY = datetime(2026, 11, 1, tzinfo=UTC)  # when all calls started
MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14")
GIVEN, UNKNOWN = "priced-by-the-client", "nobody-knows-this-model"
OLD = {MODELS[0]: ("2.5", "10"), MODELS[1]: ("0.15", "0.6"), MODELS[2]: ("2", "8")}  # USD per million, in and out
NEW = {**OLD, MODELS[0]: ("1.7", "7.3"), MODELS[1]: ("0.11", "0.37")}
CONTRACT = """
prices:
  - {id: large, match: 'gpt-4o-2024-08-06', per_million: {input: 1.7, output: 7.3}}
  - {id: small, match: 'gpt-4o-mini-2024-07-18', per_million: {input: 0.11, output: 0.37}}
"""
STEPS = ("", *MODELS, *MODELS[:2], GIVEN, UNKNOWN)  # the models of a trace's observations; the root has none
REPRICED = sum(OLD.get(model) != NEW.get(model) for model in STEPS)  # of one trace
LATE_MODEL, LATE_STEP, MENDED_STEP = MODELS[0], len(STEPS), 2
GIVEN_USD = Decimal("0.125")
LATE_EVERY, LATE_PER_SECOND = 3, 40.0  # one of so many traces may get events; traces a second that do


def usage(number: int, step: int, mended: bool = False) -> tuple[int, int]:
    """Tokens in and out."""
    return 100 + (number * 31 + step * 7) % 900 + 1_000 * mended, 1 + (number * 17 + step) % 400


def usd(prices: dict[str, tuple[str, str]], model: str, tokens: tuple[int, int]) -> Decimal:
    """What a call costs; 0 where that is unknown."""
    if model == GIVEN:
        return GIVEN_USD
    each = [Decimal(price) * count for price, count in zip(prices.get(model, ("0", "0")), tokens, strict=True)]
    return sum(each, Decimal(0)).scaleb(-6)


def calls(number: int, late: bool) -> Iterator[tuple[str, tuple[int, int]]]:
    """Models and tokens of all observations of a trace."""
    for step, model in enumerate(STEPS):
        yield model, usage(number, step, late and step == MENDED_STEP)
    if late:
        yield LATE_MODEL, usage(number, LATE_STEP)


def record(number: int, kind: str, step: int, second: int, **body: object) -> Outgoing:
    """One event of a trace."""
    at = DAY + timedelta(milliseconds=number * 500 % 86_000_000, seconds=second)
    id_, said = f"t{number:07}", at.isoformat()
    named = {"id": f"{id_}-{step}", "traceId": id_} if step >= 0 else {"id": id_}
    value = {"id": f"{id_}-{step}-{kind}-{second}", "type": kind, "timestamp": said, "body": {**named, **body}}
    return Outgoing(record_key(PROJECT, id_), json.dumps(value).encode())


def call(number: int, step: int, model: str, second: int = 1) -> Outgoing:
    """A finished observation below the root."""
    start = DAY + timedelta(milliseconds=number * 500 % 86_000_000)
    tokens = usage(number, step)
    body: dict[str, object] = {"startTime": start.isoformat(), "endTime": (start + timedelta(seconds=2)).isoformat()}
    if step == 0:
        return record(number, "span-create", 0, second, name="agent", **body)
    body |= {"parentObservationId": f"t{number:07}-0", "model": model, "name": f"step-{step}"}
    body |= {"input": f"What is {number} and {step}? " * 8, "output": f"{number * step}. " * 12}
    body["usageDetails"] = {"input": tokens[0], "output": tokens[1]}
    if model == GIVEN:
        body["costDetails"] = {"total": float(GIVEN_USD)}
    return record(number, "generation-create", step, second, **body)


def history(traces: int) -> Iterator[Outgoing]:
    """All events that come first: 1 + 8 a trace."""
    for number in range(traces):
        yield record(number, "trace-create", -1, 0, name=f"endpoint-{number % 5}")
        for step in reversed(range(len(STEPS))):
            yield call(number, step, STEPS[step])


def late_events(number: int) -> list[Outgoing]:
    """A new call, and another count of an old one's tokens."""
    tokens = usage(number, MENDED_STEP, mended=True)
    mended = {"usageDetails": {"input": tokens[0], "output": tokens[1]}}
    return [
        call(number, LATE_STEP, LATE_MODEL, second=5),
        record(number, "generation-update", MENDED_STEP, 6, **mended),
    ]


@dataclass
class Late:
    """The stream that runs meanwhile: traces over the whole range, in an order that has nothing to do with theirs."""

    stack: Stack
    traces: int
    sent: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `over`."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        count = self.traces // LATE_EVERY
        step = next(step for step in (7_919, 104_729) if count % step)  # a prime: visits all
        async with AIOKafkaProducer(**kafka_options(self.stack.settings)) as producer:
            for turn in range(count):
                number = turn * step % count * LATE_EVERY
                for event in late_events(number):
                    await producer.send_and_wait(
                        self.stack.settings.events_topic, event.value, key=event.key, headers=list(event.headers)
                    )
                self.sent.append(number)
                await asyncio.sleep(1 / LATE_PER_SECOND)
                if self.over.is_set():
                    return


def reprice(stack: Stack, log: Path) -> "subprocess.Popen[bytes]":
    """The command, as an operator gives it."""
    until = (DAY + timedelta(days=2)).isoformat()
    command = [sys.executable, "-P", "-m", "pipeline", "reprice", "--from", DAY.isoformat(), "--to", until]
    with log.open("ab") as out:
        return subprocess.Popen(
            command, env={**os.environ, **environment(stack.settings)}, stdout=out, stderr=subprocess.STDOUT
        )


def written(log: Path) -> tuple[int, int]:
    """What the last finished run says it has written: observations and traces."""
    found = re.findall(r"(\d+) observations and (\d+) traces were written", log.read_text())
    assert found, log.read_text()[-3000:]
    return int(found[-1][0]), int(found[-1][1])


def finished(stack: Stack, log: Path) -> float:
    """Run the command to its end; seconds."""
    began = time.monotonic()
    assert reprice(stack, log).wait(timeout=1_800) == 0, log.read_text()[-3000:]
    return time.monotonic() - began


def killed_half_way(stack: Stack, log: Path, changes: int) -> tuple[float, int]:
    """Run it until half is done, SIGKILL; seconds, and the rows of the history that were written."""
    began = time.monotonic()
    process = reprice(stack, log)
    while (rows := stack.count("SELECT count() FROM cost_history_rows")) < changes // 2:
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.2)
    process.kill()
    process.wait(timeout=10)
    return time.monotonic() - began, rows


def settled(stack: Stack, events: int) -> None:
    """Wait until so many records are folded and every trace has come to rest."""
    deadline = time.monotonic() + 900
    while (
        stack.count("SELECT sum(records) FROM offset_ranges") < events
        or stack.count("SELECT count() FROM traces WHERE NOT settled") > 0
    ):
        assert time.monotonic() < deadline, "the worker does not finish"
        time.sleep(1)


def check(stack: Stack, traces: int, prices: dict[str, tuple[str, str]], late: set[int]) -> Decimal:
    """Every trace, every root and every model against this file's own sums; the total."""
    by_trace, by_model = {}, Counter[str]()
    by_usd: dict[str, Decimal] = {}
    for number in range(traces):
        total = Decimal(0)
        for model, tokens in calls(number, number in late):
            cost = usd(prices, model, tokens)
            total += cost
            by_model[model] += 1
            by_usd[model] = by_usd.get(model, Decimal(0)) + cost
        by_trace[f"t{number:07}"] = total
    query = stack.client.query
    models = query("SELECT model, count(), sum(total_cost), countIf(total_cost IS NULL) FROM observations GROUP BY 1")
    assert {row[0]: row[1] for row in models.result_rows} == by_model
    for model, count, total, unknown in models.result_rows:
        assert (total or 0, unknown) == (by_usd[model], count if model in (UNKNOWN, "") else 0), model
    for each in ("total_cost FROM traces", "subtree_cost FROM observations WHERE depth = 0"):
        assert {row[0]: row[1] for row in query(f"SELECT trace_id, {each}").result_rows} == by_trace
    assert stack.count("SELECT countIf(cost['total'] != total_cost) FROM traces") == 0
    parts = "arraySum(mapValues(mapFilter((kind, usd) -> kind != 'total', cost)))"
    computed = "SELECT countIf(cost_source = 'computed' AND " + parts + " != total_cost) FROM observations"
    assert stack.count(computed) == 0
    return sum(by_trace.values(), Decimal(0))


def check_history(stack: Stack, traces: int, late: set[int]) -> tuple[int, Decimal]:
    """What `cost_history` says of the traces that nothing came for is the difference of the two price lists."""
    rows = "SELECT trace_id, count(), sum(difference) FROM cost_history GROUP BY trace_id"
    found = {trace: (count, difference) for trace, count, difference in stack.client.query(rows).result_rows}
    for number in range(traces):
        if number not in late:
            difference = sum((usd(NEW, *one) - usd(OLD, *one) for one in calls(number, False)), Decimal(0))
            assert found[f"t{number:07}"] == (REPRICED, difference), number
    return sum(count for count, _ in found.values()), sum((usd for _, usd in found.values()), Decimal(0))


def run(stack: Stack, worker: WorkerProcess, observations: int) -> None:
    """All of it, a line for each step."""
    traces = observations // len(STEPS)
    events = traces * (1 + len(STEPS))
    began = time.monotonic()
    asyncio.run(fill(stack.settings, history(traces), lambda _: None))
    settled(stack, events)
    told(f"{traces * len(STEPS)} observations of {traces} traces stored and settled", time.monotonic() - began)
    told(f"cost {check(stack, traces, OLD, set()):f} USD, as computed here", None)

    (stack.directory / "contract.yaml").write_text(CONTRACT)
    publish = [sys.executable, "-P", "-m", "pipeline", "prices", "publish", str(stack.directory / "contract.yaml")]
    subprocess.run(publish, env={**os.environ, **environment(stack.settings)}, check=True, stdout=subprocess.DEVNULL)
    late = Late(stack, traces)
    stream = threading.Thread(target=late.run)
    stream.start()
    log = stack.directory / "reprice.log"
    try:
        seconds, rows = killed_half_way(stack, log, traces * REPRICED)
        told(f"killed with {rows} of {traces * REPRICED} rows of history written (20 s of it waiting)", seconds)
        seconds = finished(stack, log)
        told("resumed: {} observations and {} traces written".format(*written(log)), seconds)
    finally:
        late.over.set()
        stream.join()
    settled(stack, events + 2 * len(late.sent))
    told(f"{2 * len(late.sent)} events came for {len(late.sent)} of the traces meanwhile", None)
    seconds = finished(stack, log)
    assert written(log) == (0, 0), log.read_text()[-2000:]
    told("again: nothing written", seconds)
    told(f"cost {check(stack, traces, NEW, set(late.sent)):f} USD, as computed here", None)
    told("cost_history: {} changes, {:f} USD".format(*check_history(stack, traces, set(late.sent))), None)
    assert worker.process.poll() is None


def told(what: str, seconds: float | None) -> None:
    """A line."""
    print(what if seconds is None else f"{what}: {seconds:.1f} s", flush=True)


def main(observations: int = 1_000_000) -> None:
    """A stack of its own for one run."""
    with (
        tempfile.TemporaryDirectory() as folder,
        broker_and_store(Path(folder)) as (kafka, store),
        closing(new_stack(kafka, store, Path(folder) / "stack")) as stack,
    ):
        run(stack, stack.worker(first_rule_sampling=0), observations)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
