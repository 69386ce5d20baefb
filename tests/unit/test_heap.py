"""Free memory goes back to the system, also where something small stands above it."""

from pipeline.metrics import heap
from tests.bench.simulated import resident

BLOCKS, BLOCK, SMALL = 1_000, 100_000, 2_000  # bytes: below what the allocator maps alone, above Python's own pools


def test_free_memory_below_what_lives_on_is_given_back() -> None:
    heap.give_back()
    before = resident()
    large, small = [], []
    for number in range(BLOCKS):
        large.append(number.to_bytes(BLOCK, "big"))
        small.append(number.to_bytes(SMALL, "big"))
    assert resident() - before > 70
    del large
    heap.give_back()
    assert resident() - before < 30
    assert len(small) == BLOCKS
