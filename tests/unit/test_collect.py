"""What a flush collects: what is written at once, what is held, what waits, and who settles."""

import pytest

from pipeline.events.model import Kind
from tests.unit.collecting import A_MOMENT, AT, HOLD, IDLE, KEY, QUIET, REST, RULE, Worker, written


def test_the_first_word_of_a_trace_is_written_after_a_moment() -> None:
    worker = Worker()
    worker.span("o")
    assert worker.seen() == ([], 0)
    assert worker.seen(A_MOMENT) == ([], 1)  # the observation is open, and held


def test_what_has_ended_is_written_at_once_and_alone() -> None:
    worker = written("root")
    worker.span("open", parent_observation_id="root")
    worker.span("done", parent_observation_id="root", end_time=AT)
    assert worker.seen() == (["done"], 0)
    assert worker.seen() == ([], 0)


@pytest.mark.parametrize("kind", [Kind.TRACE, Kind.SCORE])
def test_what_is_urgent_waits_for_what_comes_along_with_it(kind: Kind) -> None:
    worker = written()
    worker.say(kind, "x", name="n")
    assert not any(worker.collect().rows)
    rows = worker.collect(A_MOMENT).rows
    assert (len(rows.traces), len(rows.scores)) == ((1, 0) if kind is Kind.TRACE else (0, 1))


def test_an_open_observation_is_held_and_then_written_though_its_trace_is_lively() -> None:
    worker = written()
    worker.span("a")
    found = []
    for _ in range(3):
        worker.now += HOLD / 2
        worker.span("b")
        found.append(worker.seen())
    assert found == [([], 0), (["a"], 0), (["b"], 0)]


def test_an_observation_that_ends_while_it_is_held_is_written_once() -> None:
    worker = written()
    worker.span("a")
    assert worker.seen(HOLD / 2) == ([], 0)
    worker.span("a", end_time=AT)
    assert worker.seen(HOLD / 4) == (["a"], 0)
    assert worker.seen(HOLD) == ([], 1)  # all of the trace is asked for: its sums
    assert worker.seen(HOLD / 4) == ([], 0)


def test_a_trace_that_was_silent_for_a_moment_is_written_as_a_whole() -> None:
    worker = written("root")
    worker.span("a", parent_observation_id="root", end_time=AT)
    assert worker.seen() == (["a"], 0)
    assert worker.seen(HOLD * 0.9) == ([], 0)
    assert worker.seen(HOLD * 0.2) == (["root"], 1)  # it has a child now


def test_what_follows_from_others_waits_in_a_lively_trace_but_not_for_ever() -> None:
    worker, found = written("root"), []
    for number in range(12):
        worker.span(f"a{number}", parent_observation_id="root", end_time=AT)
        found.append("root" in worker.seen()[0])
        worker.now += HOLD / 2
    assert [number for number, was in enumerate(found) if was] == [int(REST / (HOLD / 2))]


def test_in_a_giant_trace_what_follows_from_others_waits_longer() -> None:
    worker = Worker(rest=0.5)
    for number in range(4_000):
        worker.span(f"o{number}", end_time=AT, parent_observation_id="root")
    worker.collect(everything=True)
    found = []
    for number in range(6):
        worker.span(f"new{number}", end_time=AT)
        found.append(worker.seen()[1])
        worker.now += HOLD / 2
    assert found == [0, 0, 0, 0, 0, 1]  # two seconds, by ROWS_PER_SECOND


def test_everything_is_written_when_everything_must_out() -> None:
    worker = Worker()
    worker.span("a")
    rows = worker.collect(everything=True).rows
    assert ([row.observation_id for row in rows.observations], len(rows.traces)) == (["a"], 1)
    assert not any(worker.collect(everything=True).rows)


def test_a_trace_that_has_ended_settles_when_it_is_quiet_with_all_its_rows() -> None:
    worker = Worker()
    worker.span("root", end_time=AT)
    assert worker.seen(A_MOMENT) == (["root"], 1)
    assert [row.settled for row in worker.collect(HOLD).rows.traces] == [False]
    assert [row.settled for row in worker.collect(QUIET).rows.traces] == [True]
    assert worker.partition.is_settled(KEY)
    assert not any(worker.collect(IDLE).rows)


def test_a_quiet_open_trace_is_not_written_again_until_it_settles_at_last() -> None:
    worker = written("open")
    assert not any(worker.collect(QUIET).rows)
    assert not worker.partition.is_settled(KEY)
    rows = worker.collect(IDLE).rows
    assert ([row.settled for row in rows.traces], rows.observations) == ([True], [])


def test_news_that_waited_until_their_trace_was_quiet_are_written() -> None:
    worker = written("open")
    worker.say(Kind.TRACE, "t", output="done")
    rows = worker.collect(QUIET).rows
    assert [(row.output, row.settled) for row in rows.traces] == [("done", False)]


def test_a_score_of_a_settled_trace_is_written_at_once_and_leaves_it_settled() -> None:
    worker = written()
    worker.collect(QUIET)
    assert worker.partition.is_settled(KEY)
    worker.say(Kind.SCORE, "s", name="n", value=1.0)
    rows = worker.collect().rows
    assert ([row.settled for row in rows.traces], [row.name for row in rows.scores]) == ([True], ["n"])
    assert worker.partition.is_settled(KEY)


def test_a_trace_whose_rows_are_in_doubt_is_written_though_it_is_quiet() -> None:
    worker = written("open")
    worker.partition.traces[KEY].rewrite = True
    rows = worker.collect(QUIET).rows
    assert (len(rows.observations), len(rows.traces)) == (1, 1)


def test_who_settles_is_evaluated_once_and_a_group_of_scores_never() -> None:
    worker = Worker([RULE])
    worker.say(Kind.TRACE, "t", name="n")
    worker.collect(A_MOMENT)
    assert worker.requests == []
    worker.collect(QUIET)
    assert [(each.trace_id, each.revision) for each in worker.requests] == [("t", 1)]
    worker.collect(IDLE)
    assert worker.requests == []
    scored = Worker([RULE])
    scored.say(Kind.SCORE, "s", name="n", value=1.0)
    scored.collect(IDLE)
    assert scored.requests == []
