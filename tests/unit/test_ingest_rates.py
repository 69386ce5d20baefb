"""Token buckets: what may come at once, what it costs, and that projects do not share."""

from datetime import UTC, datetime

import pytest

from pipeline.config import Settings
from pipeline.ingest.answers import ApiError
from pipeline.ingest.rates import Limiter
from pipeline.registry import Organization, Project, RateLimits


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def project(id_: str = "p", **limits: int) -> Project:
    return Project(id_, id_, Organization("o", "o"), datetime.now(UTC), {}, RateLimits(**limits))


def limiter(clock: Clock, requests: int = 0, events: int = 0, size: int = 0, burst: float = 2.0) -> Limiter:
    settings = Settings(rate_requests=requests, rate_events=events, rate_bytes=size, rate_burst=burst)
    return Limiter(settings, clock)


def passes(limits: Limiter, who: Project) -> bool:
    try:
        limits.admit(who)
    except ApiError as error:
        assert error.status == 429
        return False
    return True


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = Clock()
    limits = limiter(clock, requests=10)
    assert sum(passes(limits, project()) for _ in range(100)) == 21  # 2 seconds' worth, and the one that makes the debt
    passed = 0
    for _ in range(1_000):
        clock.now += 0.01
        passed += passes(limits, project())
    assert 99 <= passed <= 101  # 10 s at 10 a second


def test_a_batch_larger_than_the_bucket_passes_and_the_next_one_waits_for_its_debt() -> None:
    clock = Clock()
    limits = limiter(clock, events=100)
    assert passes(limits, project())
    limits.charge_events("p", 1_200)
    with pytest.raises(ApiError) as caught:
        limits.admit(project())
    headers = caught.value.headers or {}
    assert (headers["Retry-After"], headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == (
        "10",
        "100",
        "0",
    )
    assert caught.value.more["code"] == "rate_limited"
    clock.now += 9.9
    assert not passes(limits, project())
    clock.now += 0.2
    assert passes(limits, project())


def test_bytes_are_counted_too_and_the_longest_wait_is_told() -> None:
    clock = Clock()
    limits = limiter(clock, events=100, size=1_000)
    limits.admit(project())
    limits.charge_events("p", 300)
    limits.charge_bytes("p", 60_000)
    with pytest.raises(ApiError, match="1000 bytes a second") as caught:
        limits.admit(project())
    assert (caught.value.headers or {})["Retry-After"] == "58"


def test_one_project_does_not_pay_for_another() -> None:
    limits = limiter(Clock(), requests=1, burst=1.0)
    while passes(limits, project("greedy")):
        pass
    assert passes(limits, project("modest"))


def test_a_projects_own_limit_replaces_the_settings_and_0_is_none() -> None:
    clock = Clock()
    limits = limiter(clock, requests=1, burst=1.0)
    assert all(passes(limits, project("free", requests=0)) for _ in range(1_000))
    assert sum(passes(limits, project("more", requests=50)) for _ in range(1_000)) == 51
    assert sum(passes(limits, project("more", requests=5)) for _ in range(1_000)) == 6  # the registry has changed


def test_charges_of_a_project_that_was_never_admitted_are_nothing() -> None:
    limiter(Clock(), events=1).charge_events("stranger", 10)
