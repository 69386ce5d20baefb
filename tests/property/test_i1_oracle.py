"""I1: whatever the order, the repeats and the moments of writing, the rows are those that the oracle says.

The oracle (tests/oracle) sorts, deduplicates and folds from scratch. Each test here gives the same events to the fold:
in some order, some of them several times, written at random moments, after which the fold may have forgotten everything
and gets what was delivered so far once more.
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.examples import examples
from tests.oracle import nasty
from tests.oracle.fold import Known, Views, views
from tests.oracle.folded import FEATURES, PRICE, FoldedTraces
from tests.oracle.table import difference

CHANCE = st.integers(0, 2**16).map(Random)


def _delivered(events: list[Known], chance: Random) -> list[tuple[Known, int]]:
    """The events with their offsets: shuffled, some sent again (another offset), some delivered again (the same)."""
    sent = events + chance.choices(events, k=chance.randrange(len(events) + 1))
    chance.shuffle(sent)
    log = list(zip(sent, range(len(sent)), strict=True))
    for _ in range(chance.randrange(3)):
        place = chance.randrange(len(log))
        log[place:place] = log[chance.randrange(place + 1) : place]
    return log


def _folded(events: list[Known], chance: Random) -> Views:
    """What the views show in the end."""
    traces = FoldedTraces()
    calm = chance.choice([0.0, 0.3, 1.0])  # how often rows are written in between
    archive: list[tuple[Known, int]] = []
    for known, offset in _delivered(events, chance):
        if traces.take(known, offset):
            archive.append((known, offset))
        if chance.random() < calm:
            traces.write(chance)
        if chance.random() < 0.05:
            traces = traces.read_back(chance.sample(archive, len(archive)))
    traces.write()
    assert len(archive) == len({(known.event[:5], known.identity) for known, _ in archive}), "an event was taken twice"
    return traces.views()


def _check(events: list[Known], chance: Random) -> None:
    assert difference(_folded(events, chance), views(events, PRICE)) == []


@settings(max_examples=examples(9))
@given(nasty.any_traces(FEATURES), CHANCE)
def test_i1_any_trace_folds_to_the_rows_of_the_oracle(events: list[Known], chance: Random) -> None:
    _check(events, chance)


@settings(max_examples=examples(4))
@given(nasty.crowded_observations(), CHANCE)
def test_i1_many_events_of_one_observation_fold_to_the_rows_of_the_oracle(events: list[Known], chance: Random) -> None:
    _check(events, chance)


@settings(max_examples=examples(5))
@given(nasty.tangled_trees(), CHANCE)
def test_i1_circles_orphans_and_several_roots_get_the_places_of_the_oracle(events: list[Known], chance: Random) -> None:
    _check(events, chance)


@settings(max_examples=examples(3))
@given(nasty.scattered_attributes(), CHANCE)
def test_i1_attributes_of_the_trace_are_chosen_as_the_oracle_does(events: list[Known], chance: Random) -> None:
    _check(events, chance)


@settings(max_examples=examples(3))
@given(nasty.neighbours(FEATURES), CHANCE)
def test_i1_traces_that_share_ids_fold_as_if_alone(events: list[Known], chance: Random) -> None:
    _check(events, chance)


@settings(max_examples=max(10, examples(1) // 10))
@given(nasty.deep_chains(), CHANCE)
def test_i1_a_chain_deeper_than_a_path_is_kept_folds_to_the_rows_of_the_oracle(
    events: list[Known], chance: Random
) -> None:
    _check(events, chance)
