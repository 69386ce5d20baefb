"""From a trace's events to what its rows say: the explainer's figures, places, attributes, flags, what is returned."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.fold.build import EVERYTHING, Want, build, rest
from pipeline.fold.state import Seen, TraceState
from pipeline.fold.views import Built, ObservationView, TraceView

PRICE = ObservationPricer()
NOON = 1_728_993_600_000_000  # 2024-10-15 12:00 UTC
MS = 1000


SOON = Want(all=False)  # what has ended, and what is no observation


def held(until: int) -> Want:
    """As SOON, and what has waited since then or longer."""
    return Want(False, Micros(until))


class Story:
    """A trace that events are told to, one after the other."""

    def __init__(self) -> None:
        self.state = TraceState("p", "t", Micros(1))
        self.count = 0

    def say(self, kind: Kind, entity: str, at: int | None = None, **fields: Any) -> "Story":
        self.count += 1
        when = Micros(self.count if at is None else at)
        event = Event("p", "t", kind, entity, f"e{self.count}", when, fields)  # type: ignore[arg-type]
        self.state.add(event, b"%016d" % self.count, self.count, 1, Micros(self.count))
        return self

    def trace(self, **fields: Any) -> "Story":
        return self.say(Kind.TRACE, "t", **fields)

    def span(self, entity: str, **fields: Any) -> "Story":
        return self.say(Kind.OBSERVATION, entity, **fields)

    def score(self, entity: str, **fields: Any) -> "Story":
        return self.say(Kind.SCORE, entity, **fields)

    def steps(self, *steps: tuple[str, int, dict[str, Any]]) -> "Story":
        """(name, milliseconds, fields) one after the other without gaps."""
        start = NOON
        for name, length, fields in steps:
            end = start + length * MS
            self.span(name, start_time=start, end_time=end, parent_observation_id="root", **fields)
            start = end
        return self

    def build(self, want: Want = EVERYTHING) -> Built:
        return build(self.state, PRICE, want)

    def trace_row(self) -> TraceView:
        made = self.build().trace
        assert made is not None
        return made

    def observations(self, want: Want = EVERYTHING) -> dict[str, ObservationView]:
        return {view.observation_id: view for view in self.build(want).observations}


def usd(text: str) -> dict[str, Decimal]:
    return {"total": Decimal(text)}


def test_the_explainers_rag_trace_takes_1850_ms_and_costs_0_0041() -> None:
    story = Story().trace(name="rag", start_time=NOON)
    story.span("root", start_time=NOON, end_time=NOON + 1850 * MS)
    story.steps(
        ("embed", 50, {"type": "EMBEDDING", "cost": usd("0.0001")}),
        ("search", 100, {"type": "RETRIEVER"}),
        ("rerank", 200, {}),
        ("answer", 1500, {"model": "gpt-4o", "usage": {"input": 450, "output": 120}, "cost": usd("0.004")}),
    )
    built = story.build()
    assert (built.trace.latency, built.trace.total_cost) == (1850 * MS, Decimal("0.0041"))
    assert (built.trace.start_time, built.trace.end_time) == (NOON, NOON + 1850 * MS)
    assert (built.trace.status, built.trace.total_tokens, built.trace.observation_count) == ("SUCCESS", 570, 5)
    costs = {view.observation_id: view.priced.total_cost for view in built.observations}
    assert costs == {
        "root": None, "embed": Decimal("0.0001"), "search": None, "rerank": None, "answer": Decimal("0.004"),
    }  # fmt: skip
    root = next(view for view in built.observations if view.observation_id == "root")
    assert (root.subtree_cost, root.subtree_tokens, root.child_count) == (Decimal("0.0041"), 570, 4)


def test_the_same_trace_without_a_span_around_its_steps_says_the_same() -> None:
    story = Story().trace(name="rag").steps(("embed", 50, {"cost": usd("0.0001")}), ("search", 100, {}))
    story.steps(("rest", 1850, {"cost": usd("0.004")}))
    assert (story.trace_row().latency, story.trace_row().total_cost) == (1850 * MS, Decimal("0.0041"))


def test_the_explainers_core_concept_trace_takes_1_1_s_and_costs_0_002() -> None:
    story = Story().trace(name="What is AI?")
    story.steps(
        ("retrieval", 250, {"cost": usd("0.0003")}),
        ("llm", 800, {"model": "gpt-4o", "usage": {"input": 120, "output": 45}, "cost": usd("0.0015")}),
        ("tool", 50, {"cost": usd("0.0002")}),
    )
    trace = story.trace_row()
    assert (trace.latency, trace.total_cost, trace.status) == (1100 * MS, Decimal("0.002"), "SUCCESS")


def test_the_explainers_call_without_a_given_cost_is_computed() -> None:
    call = {"model": "gpt-4o", "usage": {"input": 450, "output": 120}}
    trace = Story().steps(("answer", 1500, call)).trace_row()
    assert trace.cost == {"input": Decimal("0.001125"), "output": Decimal("0.0012"), "total": Decimal("0.002325")}
    assert trace.usage == {"input": 450, "output": 120, "total": 570}


def test_one_failed_step_makes_the_trace_an_error() -> None:
    story = Story().steps(("a", 1, {"level": "WARNING"}), ("b", 1, {"level": "ERROR"}), ("c", 1, {}))
    trace = story.trace_row()
    assert (trace.status, trace.level, trace.error_count) == ("ERROR", "ERROR", 1)


def test_an_unfinished_step_keeps_the_trace_running_but_an_event_is_a_moment() -> None:
    story = Story().span("a", type="SPAN", start_time=1, end_time=2).span("b", type="EVENT", start_time=1)
    assert story.trace_row().status == "SUCCESS"
    assert story.span("c", level="ERROR").trace_row().status == "RUNNING"


def test_without_any_known_cost_the_trace_has_none() -> None:
    trace = Story().span("a", type="SPAN").trace_row()
    assert (trace.total_cost, trace.cost, trace.usage, trace.total_tokens) == (None, {}, {}, 0)


def test_a_trace_event_alone_makes_a_trace() -> None:
    built = Story().trace(name="chat", at=7).build()
    trace = built.trace
    assert trace is not None
    assert (built.attributes.name, trace.start_time, trace.end_time, trace.latency) == ("chat", 7, None, None)
    assert (trace.observation_count, trace.root, trace.flags, built.ended) == (0, "", [], True)


def test_a_score_before_its_trace_makes_a_row_that_says_so() -> None:
    built = Story().score("s", name="good", value=1.0, data_type="NUMERIC").build()
    assert (built.trace.flags, [view.score_id for view in built.scores]) == (["missing_root"], ["s"])


def test_the_type_of_a_create_beats_that_of_an_update_whenever_they_come() -> None:
    story = Story().span("a", at=9, type_provisional="SPAN").span("a", at=1, type="GENERATION")
    assert story.observations()["a"].type == "GENERATION"
    assert Story().span("a", type_provisional="GENERATION").observations()["a"].type == "GENERATION"
    assert Story().span("a").observations()["a"].type == "SPAN"


def test_without_a_start_time_the_earliest_event_time_stands_in() -> None:
    story = Story().span("a", at=9).span("a", at=4)
    view = story.observations()["a"]
    assert (view.start_time, view.flags) == (4, ["provisional_start"])
    later = story.span("a", at=12, start_time=11).observations()["a"]
    assert (later.start_time, later.flags) == (11, [])


def test_an_end_before_the_start_is_kept_and_flagged() -> None:
    story = Story().span("a", start_time=10, end_time=5)
    built = story.build()
    assert (built.observations[0].fields["end_time"], built.observations[0].flags) == (5, ["negative_duration"])
    assert (built.trace.end_time, built.trace.latency, built.trace.flags) == (5, None, ["negative_duration"])


def test_attributes_come_from_trace_events_then_the_root_then_any_observation() -> None:
    story = Story().span("any", parent_observation_id="root", user_id="any", session_id="any", release="any")
    story.span("root", user_id="root", session_id="root", name="root span").trace(user_id="own", tags=["b"])
    story.span("any", tags=["a"])
    attributes = story.build().attributes
    assert (attributes.user_id, attributes.session_id, attributes.release) == ("own", "root", "any")
    assert (attributes.name, attributes.tags, attributes.environment) == ("root span", ("a", "b"), "default")


def test_a_late_trace_attribute_rewrites_every_observation() -> None:
    story = Story().span("a").span("b", parent_observation_id="a")
    assert set(story.observations()) == {"a", "b"}
    assert story.observations() == {}
    assert set(story.trace(user_id="u").observations()) == {"a", "b"}
    assert story.trace(metadata={"k": 1}).observations() == {}


def test_only_what_changed_is_returned() -> None:
    story = Story().trace(name="n").span("root").span("a", parent_observation_id="root")
    story.span("b", parent_observation_id="root").build()
    assert set(story.span("a", output="x").observations()) == {"a"}
    assert set(story.span("c", parent_observation_id="b").observations()) == {"b", "c"}  # b has a child now
    assert set(story.span("c", cost=usd("1")).observations()) == {"root", "b", "c"}  # sums of all above it
    story.score("s", value=1.0)
    assert story.observations() == {}


def test_a_parent_that_arrives_late_frees_its_orphan() -> None:
    story = Story().span("root").span("child", parent_observation_id="middle")
    view = story.observations()["child"]
    assert (view.flags, view.path) == (["orphan", "provisional_start"], ["root", "child"])
    views = story.span("middle", parent_observation_id="root").observations()
    assert (views["child"].flags, views["child"].path) == (["provisional_start"], ["root", "middle", "child"])


def test_a_circle_is_flagged_where_it_is_cut() -> None:
    story = Story().span("b", parent_observation_id="a").span("a", parent_observation_id="b")
    views = story.observations()
    assert ("cycle_cut" in views["a"].flags, "cycle_cut" in views["b"].flags) == (True, False)
    assert story.trace_row().flags == ["missing_root"]


def test_several_roots_are_odd_only_where_no_trace_event_explains_them() -> None:
    story = Story().span("a", start_time=2).span("b", start_time=1)
    assert (story.trace_row().flags, story.trace_row().root) == (["several_roots"], "b")
    assert story.trace(name="chat").trace_row().flags == []


@pytest.mark.parametrize(
    ("story", "ended"),
    [
        (Story().span("root", end_time=9).span("a", parent_observation_id="root"), True),  # the root tells
        (Story().span("root").span("a", parent_observation_id="root", end_time=9), False),
        (Story().trace().span("root", end_time=9).span("a", parent_observation_id="root"), False),
        (Story().span("a", end_time=9).span("b"), False),  # two roots: all must have ended
        (Story().span("a", end_time=9).span("b", end_time=9), True),
        (Story().span("lost", parent_observation_id="elsewhere", end_time=9), True),
    ],
)
def test_when_a_trace_has_ended(story: Story, ended: bool) -> None:
    assert story.build().ended is ended


def test_a_score_has_the_time_of_its_newest_opinion() -> None:
    story = Story().score("s", at=5, name="good", value=1.0, data_type="NUMERIC", string_value="")
    story.score("s", at=9, comment="yes")
    [view] = story.build().scores
    assert (view.at, view.fields["value"], view.fields["comment"]) == (9, 1.0, "yes")


def test_a_score_that_became_a_word_has_no_number_any_more() -> None:
    story = Story().score("s", data_type="NUMERIC", value=1.0, string_value="")
    story.score("s", data_type="CATEGORICAL", string_value="good")
    [view] = story.build().scores
    assert ("value" in view.fields, view.fields["string_value"]) == (False, "good")
    [view] = story.score("s", data_type="BOOLEAN", value=0.0, string_value="False").build().scores
    assert (view.fields["value"], view.fields["string_value"]) == (0.0, "False")


def test_until_all_is_asked_for_only_what_has_ended_is_written() -> None:
    story = Story().trace(name="n").span("open", start_time=1).span("done", end_time=9).span("moment", type="EVENT")
    built = story.build(SOON)
    assert {view.observation_id for view in built.observations} == {"done", "moment"}
    assert (built.trace is not None, built.complete) == (True, False)
    assert story.observations(SOON) == {}
    assert set(story.span("open", end_time=8).observations(SOON)) == {"open"}


def test_what_is_open_is_written_once_it_was_held() -> None:
    story = Story().span("first").span("second").span("first", output="x")  # at 1, 2 and 3 of the clock
    assert (story.observations(held(0)), story.state.held_since) == ({}, 1)
    assert set(story.observations(held(1))) == {"first"}
    assert story.state.held_since == 2
    story.span("first", output="y")
    assert set(story.observations(held(3))) == {"second"}
    assert story.state.held_since == 4
    assert set(story.observations()) == {"first"}
    assert (story.state.held_since, story.state.unwritten) == (0, {})


def test_what_follows_from_others_waits_until_all_is_asked_for() -> None:
    story = Story().span("root", end_time=1).span("a", parent_observation_id="root", end_time=1)
    story.build()
    story.span("b", parent_observation_id="a", end_time=1, cost=usd("1")).span("c", parent_observation_id="new")
    built = story.build(SOON)
    assert [(view.observation_id, view.path) for view in built.observations] == [("b", ["root", "a", "b"])]
    assert (built.trace, built.complete) == (None, False)
    views = story.observations()
    assert {id_: (view.child_count, view.subtree_cost) for id_, view in views.items()} == {
        "root": (2, Decimal(1)), "a": (1, Decimal(1)), "c": (0, None),
    }  # fmt: skip


def test_attributes_that_follow_reach_all_rows_when_all_is_asked_for() -> None:
    story = Story().span("a", end_time=1).span("b", end_time=1)
    story.build()
    story.trace(user_id="u").span("a", output="x")
    built = story.build(SOON)
    assert ([view.observation_id for view in built.observations], built.attributes.user_id) == (["a"], "u")
    assert set(story.observations()) == {"b"}  # the other row has them already
    assert story.observations() == {}


def test_what_is_urgent_is_written_though_not_all_is_asked_for() -> None:
    story = Story().span("a")
    assert story.build(SOON).trace is not None  # the first word
    assert story.span("a").build(SOON).trace is None
    assert story.trace(name="n").build(SOON).trace is not None
    built = story.score("s", name="good", value=1.0).build(SOON)
    assert ([view.score_id for view in built.scores], built.trace) == (["s"], None)


def test_a_quiet_trace_has_its_own_row_alone() -> None:
    story = Story().trace(name="n").span("a").score("s", name="n", value=1.0)
    story.build()
    built = story.build()
    assert (built.trace is not None, built.observations, built.scores, built.complete) == (True, [], [], True)


def test_a_wrapper_with_the_usage_of_its_call_counts_nothing() -> None:
    story = Story().span("wrap", type="SPAN", usage={"input": 7}, cost=usd("1"), start_time=1)
    story.span("call", parent_observation_id="wrap", model="gpt-4o", usage={"input": 7}, cost=usd("1"), start_time=1)
    views = story.observations()
    assert (views["wrap"].flags, views["call"].flags) == (["duplicate_usage"], [])
    assert (views["wrap"].priced.total_cost, views["wrap"].subtree_cost, views["wrap"].subtree_tokens) == (1, 1, 7)
    trace = story.trace_row()
    assert (trace.total_cost, trace.total_tokens) == (1, 7)
    story.span("call", usage={"input": 8})
    assert (story.observations()["wrap"].flags, story.trace_row().total_tokens) == ([], 15)


def test_a_wrapper_that_loses_its_usage_and_its_call_at_once_is_none_any_more() -> None:
    story = Story().span("wrap", parent_observation_id="elsewhere", usage={"input": 7})
    story.span("call", parent_observation_id="wrap", usage={"input": 7})
    assert "duplicate_usage" in story.observations()["wrap"].flags
    story.span("wrap", parent_observation_id="call", usage={})  # a circle, cut at "call"
    assert "duplicate_usage" not in story.observations()["wrap"].flags


def test_a_path_is_cut_above_a_hundred_and_says_so() -> None:
    story = Story().span("o0")
    for number in range(1, 102):
        story.span(f"o{number}", parent_observation_id=f"o{number - 1}")
    views = story.observations()
    for id_, flagged in (("o99", False), ("o100", True), ("o101", True)):
        assert (len(views[id_].path), "path_truncated" in views[id_].flags) == (100, flagged)


def test_a_tombstone_takes_everything_back_but_what_is_newer() -> None:
    story = Story().trace(name="old").span("gone", at=5, end_time=1).span("both", at=5, name="old", output="old")
    story.score("s", at=5, name="n", value=1.0).build()
    built = story.trace(at=6, deleted=True).build(SOON)
    assert (built.gone_observations, built.gone_scores, built.observations) == (["both", "gone"], ["s"], [])
    assert built.trace is not None
    assert (built.trace.deleted, built.trace.observation_count, built.trace.root) == (True, 0, "")
    built = story.span("both", at=7, name="new").build()
    assert [(view.observation_id, view.fields) for view in built.observations] == [("both", {"name": "new"})]
    assert (built.gone_observations, story.trace_row().deleted, built.attributes.name) == ([], False, "new")


def test_what_was_hidden_before_it_was_ever_written_is_taken_back_too() -> None:
    """An older worker may have written it."""
    built = Story().trace(at=6, deleted=True).span("late", at=5, end_time=5).build()
    assert (built.observations, built.trace is not None and built.trace.deleted) == ([], True)


def test_an_observation_that_is_no_more_has_no_row_though_it_was_the_root() -> None:
    story = Story().span("root", at=1)
    story.build()
    built = story.trace(at=2, deleted=True).span("lost", at=3, parent_observation_id="elsewhere").build()
    assert ([view.observation_id for view in built.observations], built.gone_observations) == (["lost"], ["root"])


def test_a_score_that_is_deleted_is_taken_back_until_something_newer_is_said() -> None:
    story = Story().trace(name="n").score("s", at=1, name="n", value=1.0)
    built = story.score("s", at=2, deleted=True).build()
    assert (built.scores, built.gone_scores) == ([], ["s"])
    built = story.score("s", at=3, name="n", value=2.0).build()
    assert ([view.fields for view in built.scores], built.gone_scores) == ([{"name": "n", "value": 2.0}], [])


def test_other_price_books_write_everything_anew() -> None:
    story = Story().trace(name="n").span("a", end_time=1).span("open").score("s", name="n", value=1.0)
    story.build()
    newer = ObservationPricer()
    newer.epoch = PRICE.epoch + 1
    built = build(story.state, newer)
    assert ([view.observation_id for view in built.observations], story.state.epoch) == (["a", "open"], newer.epoch)
    assert build(story.state, newer).observations == []


def test_a_trace_at_rest_has_nothing_to_write_and_goes_on_as_if_never_away() -> None:
    def told(story: Story) -> Story:
        return story.trace(name="n").span("root", end_time=1).span("a", parent_observation_id="root", cost=usd("1"))

    away, never = told(Story()), told(Story())
    rest(away.state, PRICE)
    never.build()
    assert (away.observations(), away.state.urgent, away.state.ready, away.state.held_since) == ({}, False, False, 0)
    for story in (away, never):
        story.span("b", parent_observation_id="a", cost=usd("2"))
    assert away.build() == never.build()


def test_a_redelivery_puts_all_rows_of_its_trace_in_doubt() -> None:
    state = TraceState("p", "t", Micros(1))
    for number, kind in enumerate((Kind.TRACE, Kind.OBSERVATION, Kind.SCORE)):
        event = Event("p", "t", kind, f"x{number}", f"e{number}", Micros(1), Fields(name="n"))
        state.restore(event, b"%d" % number, number, 1)
    rest(state, PRICE)
    assert state.add(event, b"2", 2, 1) is Seen.REDELIVERED
    built = build(state, PRICE)
    assert ([view.observation_id for view in built.observations], [view.score_id for view in built.scores]) == (
        ["x1"], ["x2"],
    )  # fmt: skip
    assert built.trace is not None
