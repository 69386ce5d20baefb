"""I2: whatever the order in which chunks are done, no offset is offered above one that is not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stream.offsets import PrefixTracker

# Each step: a chunk of so many records is delivered, one of the open chunks is done, or Kafka takes what is offered.
STEPS = st.lists(st.tuples(st.sampled_from(["deliver", "finish", "finish", "commit"]), st.integers(0, 50)), max_size=80)


@settings(max_examples=1_000)  # a hundred do not find every mistake (test_mutations.py)
@given(STEPS, st.booleans())
def test_i2_never_offers_an_offset_above_an_unfinished_chunk(steps: list[tuple[str, int]], drain: bool) -> None:
    tracker, last = PrefixTracker(), -1
    unfinished: dict[int, int] = {}  # last offset -> first offset of a delivered chunk that is not done
    committed = 0
    for step, number in [*steps, *[("finish", 0)] * (len(steps) * drain)]:
        if step == "deliver":
            first, last = last + 1, last + 1 + number
            tracker.deliver(last)
            unfinished[last] = first
        elif step == "finish" and unfinished:
            done = sorted(unfinished)[number % len(unfinished)]
            del unfinished[done]
            tracker.finish(done)
        elif step == "commit" and tracker.committable is not None:
            committed = tracker.committable
            tracker.committed(committed)
        durable = min(unfinished.values(), default=last + 1)  # everything below it is done, itself is not
        offered = tracker.committable
        assert offered is None or committed < offered <= durable
        assert (committed if offered is None else offered) == durable, "all that is done in front is offered"
