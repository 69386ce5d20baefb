"""The watch's metrics speak of what this process watches now, or of nothing. And how far back the ledger looks."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.audit import watch
from pipeline.audit.run import Report
from pipeline.audit.watch import Watch
from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics, Role
from pipeline.ops.ledger.balance import Balance
from pipeline.ops.ledger.read import Scope


def shown(metrics: Metrics, metric: Metric) -> list[float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return [sample.value for family in families for sample in family.samples if sample.name == metric]


def test_who_does_not_watch_any_more_shows_no_old_findings() -> None:
    """Else the alert would go on for as long as the process lives, whatever the one who watches now finds."""
    metrics, audit = Metrics(Role.EVALUATOR, ""), SimpleNamespace()
    watching = Watch(Settings(), metrics, audit)  # type: ignore[arg-type]  # it does not look here
    metrics.set(Metric.LEDGER_MISSING, 7, "uncovered")
    metrics.set(Metric.WATCH_LAST, 1_764_000_000)
    watching.forget()
    assert set(shown(metrics, Metric.LEDGER_MISSING)) == {0}
    assert shown(metrics, Metric.WATCH_LAST) == [0]


@pytest.mark.parametrize("error", [KeyError("ours"), OSError("theirs")])
async def test_a_look_that_fails_ends_nobody(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives in the evaluator: a mistake on one trace must not stop evaluations, once a minute for ever."""
    looks = 0
    again = asyncio.Event()

    async def look(_: Watch) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise error
        again.set()

    monkeypatch.setattr(Watch, "look", look)
    monkeypatch.setattr(watch, "_audit", lambda _: SimpleNamespace())
    settings = Settings(watch_interval=0.001)
    task = asyncio.create_task(watch.watch(settings, Metrics(Role.EVALUATOR, ""), lambda: True))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()


@pytest.mark.parametrize(
    ("came", "back"),
    [
        (timedelta(hours=5), timedelta(hours=5)),  # after a lag: minutes long past are stored now
        (timedelta(minutes=2), timedelta(hours=1)),
        (None, timedelta(hours=1)),  # nothing was stored; what front doors count may still be missed
    ],
)
async def test_the_ledger_looks_at_minutes_that_are_stored_late(
    came: timedelta | None, back: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Scope] = []

    async def take_balance(_settings: Settings, _client: Any, scope: Scope) -> Balance:
        asked.append(scope)
        return Balance([])

    async def nothing(*_: Any, **__: Any) -> Report:
        return Report()

    now = datetime.now(UTC)
    monkeypatch.setattr(watch, "take_balance", take_balance)
    monkeypatch.setattr(watch, "came_since", lambda *_: None if came is None else now - came)
    monkeypatch.setattr(Watch, "_audit_recent", nothing)
    audit: Any = SimpleNamespace(client=None)
    await Watch(Settings(), Metrics(Role.EVALUATOR, ""), audit).look()
    [scope] = asked
    assert abs(now - back - scope.start) < timedelta(seconds=5)
    assert scope.until > now
