"""Rows of the store: names, units, empty values and versions."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.build import build
from pipeline.fold.layers import COMPACT_ABOVE
from pipeline.fold.state import TraceState
from pipeline.fold.views import Built
from pipeline.stream.rows import EPOCH_STEP, Rows, add_rows, row_version, tombstones

PRICE = ObservationPricer()
Said = tuple[Kind, str, dict[str, Any]]
MS = 1000


class Story:
    """A trace that events are told to; its rows as often as they are asked for."""

    def __init__(self, trace_id: str = "t") -> None:
        self.state = TraceState("p", trace_id, Micros(3))
        self.count = 0

    def say(self, *said: Said) -> "Story":
        for kind, entity, fields in said:
            at = Micros(100 + self.count)
            event = Event("p", self.state.trace_id, kind, entity, f"e{self.count}", at, fields)  # type: ignore[arg-type]
            self.state.add(event, b"%016d" % self.count, self.count, 1)
            self.count += 1
        return self

    def rows(self, settled: bool = False) -> Rows:
        return made_of(self.state, build(self.state, PRICE), settled)


def made_of(state: TraceState, built: Built, settled: bool = False) -> Rows:
    made = Rows([], [], [])
    add_rows(made, state, built, settled=settled, now=Micros(9))
    return made


def rows(*said: Said, trace_id: str = "t", settled: bool = False) -> Rows:
    return Story(trace_id).say(*said).rows(settled)


def trace(**fields: Any) -> Said:
    return Kind.TRACE, "t", fields


def span(entity: str, **fields: Any) -> Said:
    return Kind.OBSERVATION, entity, fields


def score(entity: str, **fields: Any) -> Said:
    return Kind.SCORE, entity, fields


def test_more_events_win_and_a_settled_row_wins_over_the_open_one_of_the_same_events() -> None:
    versions = [row_version(1), row_version(1, settled=True), row_version(2), row_version(2, settled=True)]
    assert versions == sorted(set(versions))
    assert row_version(1, epoch=1) > row_version(10**9, settled=True)
    assert row_version(7, epoch=2) == 2 * EPOCH_STEP + 14


def test_settling_shows_on_the_trace_alone() -> None:
    for settled in (False, True):
        [made], [observation], _ = rows(trace(), span("o"), settled=settled)
        assert (made.settled, made.row_version, observation.row_version) == (settled, 4 + settled, 4)
        assert (made.first_seen, made.updated_at, observation.first_seen, observation.updated_at) == (3, 9, 3, 9)


def test_durations_are_milliseconds_and_missing_ones_are_none() -> None:
    _, [made], _ = rows(span("o", start_time=1000, end_time=2500, completion_start_time=1250))
    assert (made.latency_ms, made.time_to_first_token_ms) == (1.5, 0.25)
    _, [made], _ = rows(span("o", start_time=1000))
    assert (made.end_time, made.latency_ms, made.completion_start_time, made.time_to_first_token_ms) == (None,) * 4
    _, [made], _ = rows(span("o", start_time=1000, end_time=999, completion_start_time=1))
    assert (made.end_time, made.latency_ms, made.time_to_first_token_ms, made.flags) == (
        999, None, None, ["negative_duration"],
    )  # fmt: skip


def test_a_missing_string_is_empty_and_a_missing_number_is_none() -> None:
    [made], [observation], _ = rows(span("o"))
    assert (made.name, made.input, made.metadata, made.tags, made.total_cost, made.end_time) == (
        "",
        "",
        {},
        [],
        None,
        None,
    )
    assert (observation.model, observation.usage, observation.prompt_version, observation.total_cost) == (
        "",
        {},
        None,
        None,
    )
    assert (observation.usage_source, observation.cost_source, observation.level) == ("none", "none", "DEFAULT")


def test_the_figures_of_the_explainers_rag_trace_reach_the_rows() -> None:
    steps, at = [], 0
    for name, length, cost in (
        ("embed", 50, "0.0001"),
        ("search", 100, None),
        ("rerank", 200, None),
        ("answer", 1500, "0.004"),
    ):
        given = {"cost": {"total": Decimal(cost)}} if cost else {}
        steps.append(span(name, start_time=at * MS, end_time=(at + length) * MS, parent_observation_id="", **given))
        at += length
    [made], observations, _ = rows(trace(name="rag", start_time=0), *steps)
    assert (made.latency_ms, made.total_cost) == (1850.0, Decimal("0.0041"))
    assert [(row.observation_id, row.latency_ms, row.total_cost) for row in observations] == [
        ("embed", 50.0, Decimal("0.0001")), ("search", 100.0, None), ("rerank", 200.0, None),
        ("answer", 1500.0, Decimal("0.004")),
    ]  # fmt: skip


def test_trace_attributes_are_on_every_observation_but_an_observations_own_word_wins() -> None:
    said = trace(name="n", user_id="u", session_id="s", tags=["b", "a"], release="r", version="1", environment="live")
    _, [plain, own], _ = rows(said, span("plain"), span("own", version="2", environment="test"))
    for row in (plain, own):
        assert (row.trace_name, row.user_id, row.session_id, row.tags, row.release) == ("n", "u", "s", ["a", "b"], "r")
    assert [(row.version, row.environment) for row in (plain, own)] == [("1", "live"), ("2", "test")]


def test_usage_is_there_as_given_and_as_understood() -> None:
    _, [made], _ = rows(span("o", usage={"promptTokens": 3}))
    assert (made.usage_provided, made.usage) == ({"promptTokens": 3}, {"input": 3, "total": 3})


def test_metadata_is_text_by_top_level_key_and_null_says_nothing() -> None:
    [made], _, _ = rows(
        trace(metadata={"text": "x", "map": {"b": 1, "a": None}, "list": [1, None], "n": 1, "none": None})
    )
    assert made.metadata == {"list": "[1,null]", "map": '{"b":1}', "n": "1", "text": "x"}
    assert list(made.metadata) == sorted(made.metadata)


def test_the_text_of_metadata_does_not_show_when_layers_were_compacted() -> None:
    """Compaction moves keys behind those of newer events: the order of nested keys must not reach the store."""
    first = trace(metadata={"m": {"x": 1, "y": 1}})
    for many in (2, COMPACT_ABOVE + 2):
        [made], _, _ = rows(first, trace(metadata={"m": {"x": 2}}), *([trace(metadata={"m": {"z": 1}})] * many))
        assert made.metadata == {"m": '{"x":2,"y":1,"z":1}'}


def test_a_score_of_a_trace_names_it() -> None:
    _, _, [made] = rows(score("s", name="good", data_type="NUMERIC", value=0.5, observation_id="o"))
    assert (made.trace_id, made.observation_id, made.session_id, made.value, made.at) == ("t", "o", "", 0.5, 100)
    assert (made.source, made.environment, made.comment, made.row_version) == ("API", "default", "", 2)


def test_a_score_of_a_session_or_a_run_has_no_trace_and_makes_no_trace_row() -> None:
    traces, _, [made] = rows(score("s", session_id="s1", value=1.0), trace_id="session:s1")
    assert (traces, made.trace_id, made.session_id) == ([], "", "s1")
    traces, _, [made] = rows(score("s", dataset_run_id="r1", value=1.0), trace_id="run:r1")
    assert (traces, made.trace_id, made.dataset_run_id) == ([], "", "r1")


def test_a_client_may_name_a_trace_like_a_group_of_scores() -> None:
    """Its scores are in the group all the same: their key must not change with what else is said."""
    [made], _, [about] = rows(trace(name="n"), score("s", value=1.0), trace_id="run:7")
    assert (made.trace_id, about.trace_id) == ("run:7", "")


def test_rows_of_several_traces_are_appended_to_one_another() -> None:
    made = Rows([], [], [])
    for name in ("t", "u"):
        state = Story(name).say(trace(name=name), span("o"), score("s", name="n", value=1.0)).state
        add_rows(made, state, build(state, PRICE), settled=False, now=Micros(9))
    assert [[row.trace_id for row in some] for some in made] == [["t", "u"]] * 3


def test_only_what_is_due_becomes_a_row() -> None:
    story = Story().say(trace(name="n"), span("o", end_time=1), span("open"))
    story.rows()
    made = story.say(span("o", output="x")).rows()
    assert ([row.observation_id for row in made.observations], made.scores) == (["o"], [])
    assert made.observations[0].row_version == made.traces[0].row_version == row_version(4)


def test_a_tombstone_takes_rows_back_under_their_own_keys() -> None:
    story = Story().say(trace(name="n"), span("o", name="x", start_time=5), score("s", name="good", value=1.0))
    before = story.rows()
    after = story.say(trace(deleted=True)).rows()
    for old, new in zip(before, after, strict=True):
        [was], [now] = old, new
        assert (was.is_deleted, now.is_deleted) == (0, 1)
        assert _key(was) == _key(now)
        assert now.row_version > was.row_version
    [gone] = after.observations
    assert (gone.name, gone.trace_name, gone.path, gone.is_deleted) == ("", "", [], 1)


def _key(row: Any) -> tuple[Any, ...]:
    names = ("project_id", "trace_id", "observation_id", "score_id", "first_seen")
    return tuple(getattr(row, name) for name in names if hasattr(row, name))


@pytest.mark.parametrize("group", ["session:s1", "run:r1"])
def test_a_score_of_a_group_that_is_deleted_is_taken_back_without_a_trace(group: str) -> None:
    story = Story(group).say(score("s", name="n", value=1.0))
    [was] = story.rows().scores
    traces, _, [now] = story.say(score("s", deleted=True)).rows()
    assert (traces, now.is_deleted, _key(now)) == ([], 1, _key(was))


def test_each_score_of_a_group_may_leave_by_its_own_time() -> None:
    """Not by the first one's; no clock of a client makes it leave before that one, or stay for longer than now."""
    story, now = Story("session:s"), Micros(109)
    story.say(*(score(id_, name="n", value=1.0) for id_ in ("a", "b", "c")))  # at 100, 101, 102
    story.state.first_seen = Micros(101)

    def expire(story: Story, now: int) -> dict[str, int]:
        made = Rows([], [], [])
        built = build(story.state, PRICE)
        add_rows(made, story.state, built, settled=False, now=Micros(now), until=lambda since: since)
        return {getattr(row, "score_id", row.trace_id): row.expires_at for some in made for row in some}

    assert expire(story, now) == {"a": 101, "b": 101, "c": 102}
    assert expire(story.say(score("d", value=2.0)), 101) == {"d": 101}  # at 103: ahead of us
    assert expire(story.say(score("c", deleted=True)), now) == {"c": now}  # what hides a row stays as long as the row
    taken_back = tombstones(story.state, "score", "x", [], now, lambda since: since).scores
    assert [(row.expires_at, row.at) for row in taken_back] == [(now, 0)]
    assert expire(Story().say(trace(name="n"), score("s", name="n", value=1.0)), now) == {"t": 3, "s": 3}


def test_another_price_book_writes_everything_again_above_all_older_rows() -> None:
    story = Story().say(trace(name="n"), span("o", end_time=1))
    [old] = story.rows().observations
    newer = ObservationPricer()
    newer.epoch = PRICE.epoch + 1
    made = made_of(story.state, build(story.state, newer))
    assert [row.row_version for row in (*made.traces, *made.observations)] == [old.row_version + EPOCH_STEP] * 2
