"""Comparing the ledger's witnesses: what is a loss, what is in flight, and what is nobody's fault."""

import pytest

from pipeline.ops.ledger.balance import (
    Accounted,
    Balance,
    Edge,
    Finding,
    Kind,
    Line,
    Slot,
    lines_of,
    not_in_log,
    runs,
    short,
)

SLOT = Slot("a", 60, 0)


def told(
    records: int, outcome: str = "stored", receiver: str = "ingestion", at: int = 0, slot: Slot = SLOT
) -> Accounted:
    return Accounted(slot, receiver, outcome, records, at)


def test_a_line_is_a_project_in_a_minute_over_all_partitions_and_routes() -> None:
    other = Slot("a", 60, 1)
    lines = lines_of([told(3), told(2, "duplicate", slot=other), told(1, "rejected", "kafka")], [Edge(SLOT, 4, 0, 9)])
    [line] = lines.values()
    assert (line.stored, line.duplicate, line.rejected, line.ignored, line.edge, line.accepted) == (3, 2, 1, 0, 4, 6)


@pytest.mark.parametrize(
    ("edge", "accounted", "stored_to", "missing"),
    [
        (Edge(SLOT, 5, 10, 19), [told(5)], {0: 20}, []),
        (Edge(SLOT, 5, 10, 19), [told(3), told(2, "rejected")], {0: 20}, []),
        (Edge(SLOT, 5, 10, 19), [told(4)], {0: 20}, [1]),
        (Edge(SLOT, 5, 10, 19), [], {0: 20}, [5]),
        (Edge(SLOT, 5, 10, 19), [told(4)], {0: 19}, []),  # in flight: not all of it is stored yet
        (Edge(SLOT, 5, 10, 19), [told(9)], {0: 20}, []),  # a front door that was killed told too little
        (Edge(SLOT, 5, 10, 19), [told(5, receiver="kafka")], {0: 20}, [5]),  # others' records make up for nothing
        (Edge(SLOT, 5, 10, 19), [told(5, receiver="evaluator")], {0: 20}, [5]),
        (Edge(SLOT, 5, 10, 19), [], {}, []),
    ],
)
def test_more_at_the_edge_than_in_the_log_is_a_loss(
    edge: Edge, accounted: list[Accounted], stored_to: dict[int, int], missing: list[int]
) -> None:
    findings = not_in_log("events", [edge], accounted, stored_to)
    assert [finding.records for finding in findings] == missing
    assert all((f.kind, f.partition, f.first, f.last) == (Kind.NOT_IN_LOG, 0, 10, 19) for f in findings)


def test_an_edge_that_does_not_know_offsets_names_none() -> None:
    [finding] = not_in_log("events", [Edge(SLOT, 1, 2**63, 0)], [], {0: 20})
    assert (finding.first, finding.last, finding.records) == (None, None, 1)


def test_what_was_stored_a_moment_ago_is_left_for_the_next_look() -> None:
    accounted = [told(3, at=10), told(2, at=30), told(4, "duplicate", at=10)]
    assert short(accounted, "stored", {}, 31) == {SLOT: 5}
    assert short(accounted, "stored", {}, 30) == {}
    assert short(accounted, "stored", {SLOT: 4}, 31) == {SLOT: 1}
    assert short(accounted, "stored", {SLOT: 5}, 31) == {}
    assert short(accounted, "stored", {SLOT: 9}, 31) == {}  # archived, but not accounted yet


def test_offsets_are_named_as_stretches() -> None:
    assert runs([]) == []
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_what_nobody_can_say_any_more_is_told_but_proves_no_loss() -> None:
    balance = Balance([Line("a", 60, stored=1)], [Finding(Kind.UNPROVEN, "events", 0, 1, 2, 2)])
    assert balance.balanced
    balance.findings.append(Finding(Kind.UNCOVERED, "events", 0, 1, 2, 2, "a", 60))
    assert not balance.balanced


def test_sums_add_up_every_count() -> None:
    total = Balance([Line("a", 0, 1, 2, 3, 4, 5, 6), Line("b", 0, 1, 1, 1, 1, 1, 1)]).sums()
    assert (total.edge, total.stored, total.duplicate, total.rejected, total.ignored, total.missing) == (
        2,
        3,
        4,
        5,
        6,
        7,
    )
    assert total.accepted == 25
