"""From a trace's events to what its rows say: the explainer's figures, places, attributes, flags, what is returned."""

from decimal import Decimal

import pytest

from tests.unit.story import MS, NOON, Story, usd


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
