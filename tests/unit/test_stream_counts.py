"""What workers and evaluators count, where no broker and no store is needed to see it."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.evaluate.evaluators import EVALUATORS, Subject
from pipeline.evaluate.requests import EvaluationRequest, Rule
from pipeline.evaluate.scoring import scores
from pipeline.events.model import Kind, Micros, Record
from pipeline.events.reasons import Reason
from pipeline.metrics import Metric, Metrics, Role
from pipeline.store import lookups, tables
from pipeline.store.insert import Refused
from pipeline.stream import archive as archive_module
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk, ChunkCount, Span
from pipeline.stream.counted import CountedStore, count_calls, count_events, count_freshness
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.flush import Flush
from pipeline.stream.gauges import show_partitions
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.outbox import Outbox
from pipeline.stream.persist import ask_store
from pipeline.stream.stages import Stages
from tests.bench import bench_giant
from tests.bench.simulated import batched, created, simulated
from tests.fixtures.store import observation_row, raw_event_row
from tests.unit.collecting import AT, TP, Worker


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Role.WORKER)


def span(records: int, age: float) -> Span:
    """A chunk whose first record the broker got so many seconds ago."""
    return Span(TP, 0, records - 1, records, lambda: None, Micros(time.time_ns() // 1000 - int(age * 1e6)))


class Store:
    """Takes everything, or refuses the first row of the archive."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses

    async def insert(self, table: str, rows: list[Any], token: str) -> list[Refused]:
        return [Refused(rows[0], 469, "no")] if self.refuses and table == tables.RAW_EVENTS and rows else []


class Sent:
    async def dead_letters(self, letters: list[Any]) -> None:
        """Kafka takes it."""

    async def evaluations(self, requests: list[Any]) -> None:
        """Kafka takes it."""


async def nothing(_: object) -> Any:
    return []


async def test_a_flush_counts_rows_steps_and_what_became_of_events(metrics: Metrics) -> None:
    worker = Worker()
    worker.span("a", end_time=AT, type="GENERATION", type_provisional="GENERATION")
    worker.span("b", end_time=AT)
    worker.batch.events = 2
    worker.batch.add(worker.partition, span(2, 0.2), ChunkCount(new=2, duplicate=3, rejected=4))
    collected = worker.collect(everything=True)
    batch = Batch(events=2, parts={worker.partition: worker.partition.parts._parts[0]})

    def done() -> Any:
        return [entry for part in worker.partition.parts.done() for entry in part.chunks]

    await Flush(CountedStore(Store(), metrics), Sent(), nothing, nothing, metrics).write(batch, collected, done)
    assert metrics.value(Metric.ROWS, tables.OBSERVATIONS) == 2
    assert metrics.value(Metric.ROWS, tables.TRACES) == 1
    assert metrics.value(Metric.ROWS, tables.OFFSET_RANGES) == 1
    assert metrics.value(Metric.CALLS, "none", "none") == 1
    assert [metrics.value(Metric.EVENTS, each) for each in ("new", "duplicate", "rejected")] == [2, 3, 4]
    assert metrics.value(Metric.FLUSH_SECONDS) == metrics.value(Metric.FLUSH_EVENTS) == 1
    assert all(metrics.value(Metric.STEP_SECONDS, step) > 0 for step in Metric.STEP_SECONDS.spec.values["step"])
    assert metrics.value(Metric.FRESHNESS, "stored") == metrics.value(Metric.FRESHNESS, "committed") == 2


async def test_refused_rows_are_no_stored_rows(metrics: Metrics) -> None:
    worker = Worker()
    flush = Flush(CountedStore(Store(refuses=True), metrics), Sent(), nothing, nothing, metrics)
    archive = [raw_event_row("a"), raw_event_row("b")]
    await flush.write(Batch(archive=archive), worker.collect(), list)
    assert metrics.value(Metric.ROWS, tables.RAW_EVENTS) == 1
    assert metrics.value(Metric.REFUSED, tables.RAW_EVENTS, "known") == 1


async def test_rows_refused_by_a_code_that_nobody_has_classified_are_counted_apart(metrics: Metrics) -> None:
    """They were told apart by experiment, which may be wrong: somebody must look."""
    rows = [raw_event_row(id_) for id_ in "abcd"]

    class Refusing:
        async def insert(self, *_: object) -> list[Refused]:
            codes = (469, None, 99_999)  # a constraint's, ours while encoding, none of ClickHouse's
            return [Refused(row, code, "no") for row, code in zip(rows, codes, strict=False)]

    await CountedStore(Refusing(), metrics).insert(tables.RAW_EVENTS, rows, "token")  # type: ignore[arg-type]
    assert metrics.value(Metric.REFUSED, tables.RAW_EVENTS, "known") == 2
    assert metrics.value(Metric.REFUSED, tables.RAW_EVENTS, "unknown") == 1
    assert metrics.value(Metric.ROWS, tables.RAW_EVENTS) == 1


def test_calls_are_counted_by_source_once_they_have_ended_and_other_observations_are_not(metrics: Metrics) -> None:
    call = observation_row(type="GENERATION", cost_source="computed", usage_source="estimated", end_time=1)
    rows = [call, call, call._replace(end_time=None), call._replace(type="SPAN"), call._replace(type="EMBEDDING")]
    count_calls(metrics, rows)
    assert metrics.value(Metric.CALLS, "computed", "estimated") == 3
    assert metrics.value(Metric.CALLS, "none", "none") == 0


def test_all_records_of_a_chunk_count_as_its_oldest_and_unknown_ages_do_not(metrics: Metrics) -> None:
    count_freshness(metrics, "decoded", [span(1_000, 5.0), Span(TP, 0, 9, 10, lambda: None)])
    assert metrics.value(Metric.FRESHNESS, "decoded") == 1_000
    text = metrics.text().decode()
    assert 'spanfold_freshness_seconds_bucket{le="5.0",stage="decoded"} 0.0' in text
    assert 'spanfold_freshness_seconds_bucket{le="10.0",stage="decoded"} 1000.0' in text


def test_an_append_in_the_future_is_fresh(metrics: Metrics) -> None:
    count_freshness(metrics, "decoded", [span(1, -100.0)])
    assert 'spanfold_freshness_seconds_sum{stage="decoded"} 0.0' in metrics.text().decode()


def test_the_span_of_a_chunk_remembers_when_its_first_record_was_appended() -> None:
    records = [Record("t", 0, offset, Micros(at), b"k", b"v", ()) for offset, at in ((5, 70), (6, 90))]
    assert Chunk(TopicPartition("t", 0), records, lambda: None).span().appended == 70


def test_no_chunks_count_nothing(metrics: Metrics) -> None:
    count_events(metrics, [])
    count_calls(metrics, [])
    assert metrics.value(Metric.EVENTS, "new") == 0


def test_the_wall_time_of_stages_goes_to_the_metrics(metrics: Metrics) -> None:
    stages = Stages(None, metrics)
    for _ in range(2):
        with stages.stage("fold"):
            pass
    with pytest.raises(ValueError, match="no"), stages.stage("decode"):
        raise ValueError("no")
    assert metrics.value(Metric.STAGE_SECONDS, "fold") > 0
    assert metrics.value(Metric.STAGE_SECONDS, "decode") > 0
    assert metrics.value(Metric.STAGE_SECONDS, "build") == 0


async def test_questions_that_fail_are_counted(metrics: Metrics) -> None:
    answers = iter([OSError("down"), OSError("down"), 7])

    def question() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await ask_store(question, lambda: False, metrics) == 7
    assert metrics.value(Metric.READ_RETRIES) == 2


async def test_dead_letters_are_counted_by_reason_once_kafka_has_them(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stream.outbox.RETRY_AFTER", 0.0)
    outbox = Outbox(Settings(), SimpleNamespace(), metrics)  # type: ignore[arg-type]  # nothing is too large
    failures = iter([KafkaError("no"), None, None])

    async def send(*_: object, **__: object) -> None:
        if (error := next(failures)) is not None:
            assert metrics.value(Metric.DEAD_LETTERS, Reason.EMPTY) == 0
            raise error

    outbox._producer = SimpleNamespace(send_and_wait=send)
    record = Record("events", 0, 1, Micros(1), b"k", b"", ())
    letters = [DeadLetter(record, reason, "why", "decode") for reason in (Reason.EMPTY, Reason.INVALID)]
    await outbox.dead_letters(letters)
    assert [metrics.value(Metric.DEAD_LETTERS, each) for each in (Reason.EMPTY, Reason.INVALID)] == [1, 1]
    assert metrics.value(Metric.SEND_RETRIES) == 1


def test_evaluations_are_counted_by_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(Role.EVALUATOR)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(EVALUATORS, "broken", broken)

    def request(trace: str, evaluator: str = "latency_above", **parameters: Any) -> EvaluationRequest:
        return EvaluationRequest("p", trace, 1, Micros(1), Rule("r", "quick", evaluator, parameters, 1.0))

    subjects = {("p", "t"): Subject("out", 10.0, None, 0), ("p", "running"): Subject("", None, None, 0)}
    requests = [request("t", limit_ms=1), request("gone", limit_ms=1), request("t"), request("running", limit_ms=1)]
    requests.insert(0, request("t", "broken"))
    made = scores(requests, subjects, metrics)
    assert len(made) == 1
    assert made[0].kind is Kind.SCORE
    counted = {each: metrics.value(Metric.EVALUATIONS, each) for each in Metric.EVALUATIONS.spec.values["outcome"]}
    assert counted == {"scored": 1, "no_trace": 1, "wrong_rule": 1, "failed": 1, "no_opinion": 1}


def test_a_pipeline_counts_what_comes_what_leaves_memory_and_what_it_calls_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "read_back", lambda *_: [])
    monkeypatch.setattr(lookups, "stored_traces", lambda *_: {})
    monkeypatch.setattr(archive_module, "ask_store", answer_at_once)
    events = [created(f"t{n}", f"o{n}", None, n) for n in range(5)]
    with simulated(resident_traces=2) as (worker, do):
        do(worker.take(events))
        do(worker.flush(Micros(worker.now + 5_000_000)))
        metrics = worker.metrics
        assert metrics.value(Metric.RECORDS) == 5
        assert metrics.value(Metric.BYTES) == sum(len(event.value) for event in events)
        assert metrics.value(Metric.REBALANCES, "assigned") == 1
        assert metrics.value(Metric.EVICTED) == 3
        show_partitions(metrics, worker.pipeline.partitions.values())
        assert (metrics.value(Metric.ASLEEP), metrics.value(Metric.RESIDENT)) == (3, 2)
        do(worker.flush(Micros(worker.now + 61_000_000)))
        assert metrics.value(Metric.WOKEN) == 3
        assert metrics.value(Metric.SETTLED) == 2
        assert metrics.value(Metric.STAGE_SECONDS, "fold") > 0


async def answer_at_once(question: Callable[[], Any], *_: object) -> Any:
    return question()


def test_what_comes_back_of_giant_traces_is_counted() -> None:
    case = bench_giant.cases(300, 150)["fan, the trace's attributes last"]._replace(per_flush=40)
    stream = bench_giant.Stream(case)
    with simulated(stream.again, trace_bytes=20_000) as (worker, do):
        for some in batched(stream, case.per_flush):
            do(worker.take(some))
            do(worker.tick())
        while worker.partition.open or worker.partition.unwritten:
            do(worker.tick())
        assert worker.metrics.value(Metric.READ_BACKS, "observation") >= case.observations / 2
        assert worker.metrics.value(Metric.READ_BACK_SECONDS) > 0
