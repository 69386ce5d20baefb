"""Waiting between tries: bounded, random, and quiet."""

from structlog.testing import capture_logs

from pipeline.store.retry import Backoff, Outages


def test_the_bound_doubles_up_to_the_most() -> None:
    backoff = Backoff(first=0.1, most=10.0)
    for attempt, bound in ((0, 0.1), (1, 0.2), (5, 3.2), (7, 10.0), (10_000, 10.0)):
        delays = [backoff.delay(attempt) for _ in range(200)]
        assert min(delays) > 0
        assert max(delays) <= bound


def test_workers_that_fail_together_do_not_wait_alike() -> None:
    assert len({Backoff().delay(5) for _ in range(50)}) == 50


def test_an_outage_is_logged_once_when_it_starts_and_once_when_it_ends() -> None:
    outages = Outages()
    with capture_logs() as logs:
        outages.stored("traces_rows")
        for _ in range(5):
            outages.failed("traces_rows", ConnectionError("refused"))
        outages.failed("scores_rows", ConnectionError("refused"))
        outages.stored("traces_rows")
        outages.stored("traces_rows")
    assert [(entry["event"], entry["table"]) for entry in logs] == [
        ("store_unavailable", "traces_rows"),
        ("store_unavailable", "scores_rows"),
        ("store_recovered", "traces_rows"),
    ]
