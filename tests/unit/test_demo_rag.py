"""The made-up events of the Kafka part: whole traces, readable by the worker, the same in every run."""

from collections import Counter

from pipeline.demo.rag import EVENTS_PER_TRACE, STEPS, rag_events
from pipeline.demo.rule import LIMIT_MS
from pipeline.events.avro import decode, encode
from pipeline.events.model import Kind, Micros

NOW = Micros(1_900_000_000_000_000)
TRACES = 1_000
EVENTS = list(rag_events("demo", TRACES, NOW))
STEP_EVENTS = [event for event in EVENTS if event.kind is Kind.OBSERVATION]


def test_each_trace_has_ten_events() -> None:
    per_trace = Counter(event.trace_id for event in EVENTS)
    assert len(per_trace) == TRACES
    assert set(per_trace.values()) == {EVENTS_PER_TRACE}


def test_the_same_moment_gives_the_same_events() -> None:
    assert list(rag_events("demo", 20, NOW)) == list(rag_events("demo", 20, NOW))


def test_no_two_events_or_entities_share_an_id() -> None:
    assert len({event.event_id for event in EVENTS}) == len({event.entity_id for event in EVENTS}) == len(EVENTS)


def test_every_parent_is_in_its_trace() -> None:
    known = {(event.trace_id, event.entity_id) for event in STEP_EVENTS}
    children = [event for event in STEP_EVENTS if "parent_observation_id" in event.fields]
    assert len(children) == TRACES * (len(STEPS) - 1)
    assert all((event.trace_id, event.fields["parent_observation_id"]) in known for event in children)


def test_all_of_it_has_happened() -> None:
    assert max(event.fields["end_time"] for event in STEP_EVENTS) == max(event.at for event in EVENTS) == NOW
    assert all(event.fields["start_time"] < event.fields["end_time"] for event in STEP_EVENTS)


def test_a_worker_reads_back_what_was_written() -> None:
    for event in EVENTS[:200]:
        read = decode(encode(event))
        assert read[:6] == event[:6]
        assert event.fields.items() <= read.fields.items()


def test_some_traces_fail_and_some_are_slow_but_most_are_neither() -> None:
    failed = sum(event.fields.get("level") == "ERROR" for event in STEP_EVENTS)
    roots = [event.fields for event in STEP_EVENTS if "parent_observation_id" not in event.fields]
    slow = sum(root["end_time"] - root["start_time"] > LIMIT_MS * 1_000 for root in roots)
    assert 0 < failed < TRACES / 10
    assert 0 < slow < TRACES / 10
