"""What a project sends beyond its share overflows while others send, too; others do not, and nothing is refused."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Settings
from pipeline.ingest import fairness as module
from pipeline.ingest.fairness import ALONE_AFTER, Fairness


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fair(rate: int = 100) -> tuple[Fairness, Clock]:
    clock = Clock()
    return Fairness(Settings(data_dir=Path(), fair_events=rate), clock), clock


def test_a_request_is_not_cut_and_the_next_one_overflows_until_its_debt_is_paid() -> None:
    fairness, clock = fair()
    assert not fairness.overflows("other", 1)
    assert not fairness.overflows("a", 300)  # 100 are a second's worth
    assert fairness.overflows("a", 1)
    clock.now += 1.9
    assert fairness.overflows("a", 1)
    clock.now += 0.2
    assert not fairness.overflows("a", 1)


def test_what_overflows_is_not_charged() -> None:
    fairness, clock = fair()
    fairness.overflows("other", 1)
    fairness.overflows("a", 300)
    for _ in range(50):
        assert fairness.overflows("a", 10_000)
    clock.now += 2.1
    assert not fairness.overflows("a", 1)


def test_a_project_that_is_alone_is_in_nobodys_way() -> None:
    fairness, clock = fair()
    for _ in range(10):
        assert not fairness.overflows("a", 10_000)
    fairness.overflows("b", 1)
    assert fairness.overflows("a", 1)
    clock.now += ALONE_AFTER - 0.1
    assert fairness.overflows("a", 1)
    clock.now += 0.1
    assert not fairness.overflows("a", 1)


def test_without_a_share_nothing_overflows() -> None:
    fairness, _ = fair(rate=0)
    assert not any(fairness.overflows(project, 10**6) for project in "abab")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 500), st.floats(0, 1)), max_size=60))
def test_no_project_has_another_ones_events_overflow(requests: list[tuple[str, int, float]]) -> None:
    """I8: what becomes of B's requests does not depend on how much A sends."""
    outcomes = []
    for factor in (1, 1000):
        fairness, clock = fair()
        found = []
        for project, events, pause in [("a", 1, 0.0), *requests]:
            clock.now += pause / 10  # nobody is alone
            overflows = fairness.overflows(project, events * (factor if project == "a" else 1))
            found += [overflows] if project == "b" else []
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


def test_it_remembers_some_projects_only() -> None:
    fairness, _ = fair()
    for number in range(module.REMEMBERED + 50):
        fairness.overflows(f"p{number}", 1)
    assert len(fairness._projects) == module.REMEMBERED
