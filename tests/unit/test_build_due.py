"""Which rows of a trace are made when: at once, held, with all others; taken back; and after the archive was read."""

from decimal import Decimal

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.fold.build import build, rest
from pipeline.fold.shed import shed
from pipeline.fold.state import Seen, TraceState
from tests.unit.story import PRICE, SOON, Story, held, usd


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


def test_attributes_that_went_and_came_back_are_written_on_every_row() -> None:
    story = Story().trace(user_id="ada").span("a", end_time=1).span("b", end_time=1)
    assert set(story.observations()) == {"a", "b"}
    story.trace(user_id="bob").span("a", end_time=2)
    assert set(story.observations(SOON)) == {"a"}  # its row says bob
    story.trace(user_id="ada")
    assert set(story.observations()) == {"a"}


def test_a_top_whose_content_was_let_go_may_become_the_root() -> None:
    story = Story().span("first", start_time=1, end_time=2, user_id="ada").span("second", start_time=3, end_time=4)
    story.span("second", name="the second", input="long")
    story.build()
    assert shed(story.state) == 0  # these events are small, but their content is gone
    assert not story.state.observations["second"].loaded
    story.span("first", parent_observation_id="second")
    assert story.build().attributes.name == "the second"
