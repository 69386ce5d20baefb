"""I4 for records that are moved: whatever their ways, a loss between two places is named, and nothing else is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.model import Micros, Record
from pipeline.ops.ledger.balance import Accounted, Edge, Slot
from pipeline.ops.ledger.log import Bounds
from pipeline.ops.ledger.moved import Left, Place, ends, left_events, left_overflow, lost
from pipeline.stream.moves import Move, _fill
from pipeline.stream.outcomes import Outcomes

EVENTS, OVERFLOW = "events", "events.overflow"
MINUTE = 60_000_000

place = st.tuples(st.sampled_from([EVENTS, OVERFLOW]), st.integers(0, 2))
record = st.tuples(
    place,  # where it was first
    st.lists(place, max_size=4),  # and then
    st.integers(0, 1),  # minute
    st.sampled_from(["stored", "duplicate", "rejected"]),
    st.booleans(),  # lost on its last move
)


class Batch(list[tuple[bytes, list[tuple[str, bytes]]]]):
    """What a producer would send."""

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> object:  # type: ignore[override]
        list.append(self, (value, headers))
        return True


class World:
    """The outcomes that workers note, partition by partition, and the counts of the front doors."""

    def __init__(self) -> None:
        self.noted: dict[int, Outcomes] = {}
        self.edges: Counter[Slot] = Counter()

    def go(self, way: list[tuple[str, int]], minute: int, outcome: str, is_lost: bool, offset: int) -> None:
        """One record goes its way, and to its end in the events topic unless it is lost before."""
        way = [*way, (EVENTS, 0)] if way[-1][0] == OVERFLOW else way
        topic, partition = way[0]
        here = Record(topic, partition, offset, Micros(minute * MINUTE), b"p/t", b"{}", ())
        if topic == OVERFLOW:
            self.edges[Slot("p", minute * 60, partition)] += 1
        for number, (topic, partition) in enumerate(way[1:], 1):
            if here.topic == EVENTS:
                self._of(here).note(here, "p", "moved")
            if is_lost and number == len(way) - 1:
                return
            batch = Batch()
            _fill(batch, [Move(topic, partition, here)], 0)
            later = Micros(here.timestamp + MINUTE)
            here = Record(topic, partition, offset, later, b"p/t", b"{}", tuple(batch[0][1]))
        self._of(here).note(here, "p", outcome)

    def _of(self, here: Record) -> Outcomes:
        return self.noted.setdefault(here.partition, Outcomes())

    @property
    def accounted(self) -> list[Accounted]:
        """As the ledger reads it."""
        return [
            Accounted(Slot(project, minute * 60, partition), receiver.decode() or "kafka", outcome, len(offsets), 0)
            for partition, noted in self.noted.items()
            for (project, receiver, minute, outcome), offsets in noted.items()
        ]


@given(st.lists(record, max_size=30))
def test_what_is_lost_between_two_places_is_named_by_where_it_was_first(
    records: list[tuple[tuple[str, int], list[tuple[str, int]], int, str, bool]],
) -> None:
    world, expected = World(), Counter[Place]()
    for offset, (first, then, minute, outcome, is_lost) in enumerate(records):
        world.go([first, *then], minute, outcome, is_lost, offset)
        if is_lost and (then or first[0] == OVERFLOW):
            expected[Place(first[0], Slot("p", minute * 60, first[1]))] += 1
    edges = [Edge(slot, count, 0, len(records)) for slot, count in world.edges.items()]
    emptied = {number: Bounds(0, 10**6, 10**6) for number in range(3)}
    left = left_events(EVENTS, world.accounted) + left_overflow(OVERFLOW, edges, emptied)
    found: list[Left] = lost(left, ends(world.accounted), ())
    assert {each.place: each.records for each in found} == dict(expected)
