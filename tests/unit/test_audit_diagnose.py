"""What is wrong with a trace: every divergence by itself, together, and what is none."""

import pytest

from pipeline.audit.diagnose import Divergence, Key, Right, Stored, diagnose
from pipeline.store.rows import EPOCH_STEP

NAME = ("p", "t")
HOUR = 1_764_000_000 // 3600 * 3600
SEEN = HOUR * 1_000_000 + 77
RIGHT = Right(3, SEEN, {("trace", "t"), ("observation", "a"), ("score", "s")})


def row(kind: str, id_: str, events: int = 3, *, hour: int = HOUR, deleted: bool = False, settled: bool = False,
        epoch: int = 0) -> Stored:  # fmt: skip
    version = epoch * EPOCH_STEP + 2 * events + settled
    return Stored(Key(kind, id_, hour), version, deleted, settled, False, hour * 1_000_000 + 77)


def trace(events: int = 3, **more: object) -> Stored:
    return row("trace", "t", events, **more)  # type: ignore[arg-type]


GOOD = [trace(settled=True), row("observation", "a", 2), row("score", "s", 3)]


def kinds(right: Right, stored: list[Stored], name: tuple[str, str] = NAME) -> set[Divergence]:
    return set(diagnose(name, right, stored).divergences)


@pytest.mark.parametrize(
    "stored",
    [
        GOOD,
        [trace(epoch=4), *GOOD[1:]],  # priced again: the same events under another epoch
        [*GOOD, row("observation", "gone", 1, deleted=True)],
        [*GOOD, row("observation", "a", 3, hour=HOUR + 3600, deleted=True)],  # a tombstone over a stale key
    ],
)
def test_what_is_right_is_let_alone(stored: list[Stored]) -> None:
    assert kinds(RIGHT, stored) == set()


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ([trace(2), *GOOD[1:]], {Divergence.MISSING_EVENTS}),
        ([trace(2, epoch=5), *GOOD[1:]], {Divergence.MISSING_EVENTS}),  # a newer book hides a fuller row
        (GOOD[1:], {Divergence.MISSING_EVENTS}),
        ([], {Divergence.MISSING_EVENTS, Divergence.MISSING_ROWS}),
        ([trace(4), *GOOD[1:]], {Divergence.OVERCOUNTED}),
        ([*GOOD[:2], row("score", "s", 4)], {Divergence.OVERCOUNTED}),
        ([*GOOD, row("observation", "a", 4, hour=HOUR - 3600, deleted=True)], {Divergence.OVERCOUNTED}),
        ([*GOOD, trace(1, hour=HOUR + 7200)], {Divergence.SPLIT}),
        ([GOOD[0], GOOD[2]], {Divergence.MISSING_ROWS}),
        ([*GOOD[:2], row("score", "s", deleted=True)], {Divergence.MISSING_ROWS}),
        ([*GOOD, row("observation", "ghost")], {Divergence.LEFT_OVER}),
        ([trace(2), row("observation", "ghost", hour=HOUR + 3600)],
         {Divergence.MISSING_EVENTS, Divergence.MISSING_ROWS, Divergence.SPLIT}),
    ],
)  # fmt: skip
def test_each_divergence_has_its_name(stored: list[Stored], wrong: set[Divergence]) -> None:
    assert kinds(RIGHT, stored) == wrong


def test_a_deleted_trace_shows_nothing_and_counts_all_the_same() -> None:
    right = Right(3, SEEN)
    assert kinds(right, [trace(deleted=True), row("observation", "a", deleted=True)]) == set()
    assert kinds(right, [trace(deleted=True), row("observation", "a")]) == {Divergence.LEFT_OVER}
    assert kinds(right, [trace()]) == {Divergence.LEFT_OVER}


def test_scores_without_a_trace_count_by_their_newest_row() -> None:
    name, right = ("p", "session:x"), Right(3, SEEN, {("score", "a"), ("score", "b")})
    assert kinds(right, [row("score", "a", 1), row("score", "b", 3)], name) == set()
    assert kinds(right, [row("score", "a", 1), row("score", "b", 2)], name) == {Divergence.MISSING_EVENTS}


def test_rows_without_any_event_claim_too_much() -> None:
    assert kinds(Right(0, SEEN), GOOD) == {Divergence.OVERCOUNTED, Divergence.LEFT_OVER}


def test_stray_rows_are_those_to_be_taken_back() -> None:
    ghost, away = row("observation", "ghost"), trace(1, hour=HOUR + 7200)
    assert diagnose(NAME, RIGHT, [*GOOD, ghost, away]).stray == [ghost, away]


@pytest.mark.parametrize(
    ("stored", "settled"),
    [
        ([trace(3, settled=True)], True),
        ([trace(3)], False),
        ([trace(2, settled=True)], False),  # nobody was asked about the third event yet
        ([trace(3, settled=True, hour=HOUR + 3600)], False),
    ],
)
def test_a_trace_stays_settled_only_if_it_was_settled_with_all_of_its_events(
    stored: list[Stored], settled: bool
) -> None:
    assert diagnose(NAME, RIGHT, stored).settled is settled
