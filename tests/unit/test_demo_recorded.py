"""Copies of recorded traffic: new ids and times, the same in every making, and nothing else changed."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.demo.recorded import FOLDER, ID_FIELDS, TIME_FIELDS, copy_of, entities_of, recorded_batches
from pipeline.demo.traffic import COPIES, recorded_requests
from pipeline.events.langfuse import langfuse_events, parse_langfuse

NOW = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


def events(batches: list[Json]) -> list[Json]:
    return [event for batch in batches for event in batch["batch"]]


def ids(batches: list[Json]) -> list[str]:
    """Every id, in order of appearance, repeated where it is repeated."""
    parts = [part for event in events(batches) for part in (event, event["body"])]
    return [part[name] for part in parts for name in ID_FIELDS if part.get(name)]


def stripped(event: Json) -> Json:
    """The event without ids and times."""
    drop = {*ID_FIELDS, *TIME_FIELDS}
    body = {name: value for name, value in event["body"].items() if name not in drop}
    return {name: value for name, value in event.items() if name not in drop} | {"body": body}


def test_the_recordings_are_those_that_their_readme_describes() -> None:
    batches = recorded_batches()
    assert (len(batches), len(events(batches))) == (32, 904)
    assert "32 batches, 904 events, 118 traces" in (FOLDER / "README.md").read_text("utf-8")
    assert len(entities_of(batches).traces) == 118


def test_a_copy_made_twice_is_the_same() -> None:
    recorded = recorded_batches()
    assert copy_of(recorded, 1, NOW) == copy_of(recorded, 1, NOW)


def test_no_id_is_shared_between_copies_or_with_the_recording() -> None:
    recorded = recorded_batches()
    sets = [set(ids(batches)) for batches in (recorded, copy_of(recorded, 0, NOW), copy_of(recorded, 1, NOW))]
    assert len(set().union(*sets)) == sum(map(len, sets))


def test_what_belonged_together_still_does() -> None:
    recorded = recorded_batches()
    pairs = set(zip(ids(recorded), ids(copy_of(recorded, 0, NOW)), strict=True))
    assert len(pairs) == len(set(ids(recorded)))  # one new id for each old one, wherever it stands


def test_all_times_move_together_and_the_last_is_now() -> None:
    recorded = recorded_batches()
    copied = copy_of(recorded, 0, NOW)
    moved = {
        datetime.fromisoformat(new[name]) - datetime.fromisoformat(old[name])
        for before, after in zip(events(recorded), events(copied), strict=True)
        for old, new in ((before, after), (before["body"], after["body"]))
        for name in TIME_FIELDS
        if old.get(name)
    }
    assert len(moved) == 1
    assert max(event["timestamp"] for event in events(copied)) <= "2031-05-01T12:00:00.000000Z"


def test_nothing_but_ids_and_times_changes() -> None:
    recorded = recorded_batches()
    copied = copy_of(recorded, 0, NOW)
    assert [stripped(event) for event in events(copied)] == [stripped(event) for event in events(recorded)]
    assert [batch["metadata"] for batch in copied] == [batch["metadata"] for batch in recorded]


def test_entities_are_those_that_the_codec_finds() -> None:
    copied = copy_of(recorded_batches(), 0, NOW)
    decoded = [one for event in events(copied) for one in langfuse_events("demo", parse_langfuse(orjson.dumps(event)))]
    found = entities_of(copied)
    assert found.traces == {event.trace_id for event in decoded}
    assert found.observations == {event.entity_id for event in decoded if event.kind == "observation"}
    assert found.scores == {event.entity_id for event in decoded if event.kind == "score"}


def test_some_requests_are_sent_twice_as_they_were() -> None:
    counts = Counter(orjson.dumps(request) for request in recorded_requests())
    assert len(counts) == 32 * COPIES
    assert set(counts.values()) == {1, 2}
