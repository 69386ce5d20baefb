"""I1, what rows alone cannot tell: the compaction of layers, which bounds memory, is never seen.

That rows are a function of the set of events is compared with the oracle in test_i1_oracle.py.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.model import Fields, Micros
from pipeline.fold.layers import COMPACT_ABOVE, Layers
from tests.fixtures.examples import examples

# Few values on purpose: equal keys must be common.
VALUES = [None, {}, 0, 1, "", [1], {"x": 1}, {"x": 2, "y": 1}, {"y": 2, "x": None}, {"y": {"z": 1}}, {"y": {}, "z": 3}]
OPINIONS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "metadata": st.dictionaries(st.sampled_from("ab"), st.sampled_from(VALUES), max_size=2),
            "tags": st.lists(st.sampled_from(["red", "green", "blue"]), max_size=3),
            "name": st.sampled_from(["", "a", "b"]),
        },
    ),
    min_size=COMPACT_ABOVE + 1,
    max_size=4 * COMPACT_ABOVE,
)


@settings(max_examples=examples(4))
@given(OPINIONS, st.data())
def test_i1_compaction_cannot_be_seen(opinions: list[Fields], data: st.DataObject) -> None:
    """However often it ran, whatever was under the layers at that time, and whatever a tombstone hides then."""
    never, often = Layers(), Layers()
    never._compact_above = 2 * len(opinions)
    hide_after = data.draw(st.none() | st.integers(0, len(opinions) - 1))
    for place, number in enumerate(data.draw(st.permutations(range(len(opinions))))):
        stamp = (Micros(number + 1), "", b"")
        never.add(stamp, opinions[number])
        often.add(stamp, opinions[number])
        often._compact()
        assert _meaning(often) == _meaning(never)
        if place == hide_after:
            until = Micros(data.draw(st.integers(0, len(opinions))))
            never.hide(until)
            often.hide(until)
            assert _meaning(often) == _meaning(never)


def _meaning(layers: Layers) -> tuple[Any, ...]:
    fields = layers.merged()
    said = fields.get("metadata", {}), set(fields.get("tags", ())), fields.get("name")
    return *said, layers.latest(), layers.first_at, bool(layers)
