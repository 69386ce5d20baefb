"""I2 without a stall: a lively trace whose rows are never all up to date at once is committed all the same."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.events.model import Micros
from pipeline.fold.catch_up import Round
from pipeline.fold.observation import Observation
from pipeline.store import tables
from tests.bench.simulated import SECOND, created, ended, simulated

DEPTH, LIVELY, AT_ONCE = 100, 90, 20  # observations; flushes with one more each; rows brought back for a flush
LONGEST = 30  # flushes that a chunk may wait: two rounds of (DEPTH + LIVELY) / AT_ONCE, and the rests between


def events(number: int) -> list[Any]:
    """One observation of a chain; its tokens change the sums of all above it."""
    id_, parent = f"o{number}", f"o{number - 1}" if number else None
    return [created("t", id_, parent, number), ended("t", id_, number + SECOND, number % 50)]


class Durable:
    """What the store was given, flush by flush."""

    def __init__(self) -> None:
        self.last = -1  # offset of the newest chunk that may be committed
        self.tokens: dict[str, int] = {}
        self.settled = False

    def insert(self, table: str, rows: Sequence[Any], _now: Micros) -> None:
        if table == tables.OFFSET_RANGES:
            self.last = max([self.last, *(row.last for row in rows)])
        elif table == tables.OBSERVATIONS:
            self.tokens |= {row.observation_id: row.subtree_tokens for row in rows}
        elif table == tables.TRACES:
            self.settled = rows[-1].settled if rows else self.settled


def test_a_lively_chain_deeper_than_comes_back_at_once_holds_no_commit_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.fold.shed.AT_ONCE", AT_ONCE)
    durable, offset, waits = Durable(), 0, list[int]()
    count = DEPTH + LIVELY - 1
    own = [180 + 2 * (number % 50) for number in range(count)]  # tokens
    taken: list[tuple[int, int]] = []  # (last offset, flush)

    def again(id_: str) -> list[bytes]:
        return [event.value for event in events(int(id_[1:]))]

    with simulated(again, durable.insert, trace_bytes=20_000, rest=1) as (worker, do):
        for flush in range(LIVELY):
            numbers = range(DEPTH) if not flush else [DEPTH + flush - 1]
            some = [event for number in numbers for event in events(number)]
            offset += len(some)
            taken.append((offset - 1, flush))
            do(worker.take(some))
            do(worker.tick())
            covered = (durable.last + 1) // 2  # observations, with two events each
            assert all(durable.tokens[f"o{n}"] >= sum(own[n:covered]) for n in range(covered)), "I2"
            while taken and taken[0][0] <= durable.last:
                waits.append(flush - taken.pop(0)[1])
        assert len(waits) > LIVELY - LONGEST
        assert max(waits) < LONGEST
        assert any(state.shed for state in worker.partition.traces.values()), "much of it is let go"
        while worker.partition.open or worker.partition.unwritten:
            do(worker.tick())
        assert (durable.last, len(worker.partition.parts)) == (offset - 1, 0)
    assert durable.tokens == {f"o{number}": sum(own[number:]) for number in range(count)}
    assert durable.settled


def test_a_round_is_over_when_the_last_row_is_written_or_gone_that_it_began_with() -> None:
    first, second, later = (Observation(id_) for id_ in "abc")
    round_ = Round([first, second])
    assert not round_.wrote([second, later])
    assert not round_.wrote([later])
    round_.owed.pop(first)  # a tombstone
    assert round_.wrote([])
