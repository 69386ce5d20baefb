"""The evaluator's chunks: however many traces one asks about, the outputs of few are in memory at a time."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.evaluate.requests import EvaluationRequest, Rule, encode_request
from pipeline.evaluate.scoring import TRACES_AT_ONCE
from pipeline.events.model import Micros, Record
from pipeline.stream import evaluation
from pipeline.stream.chunk import Chunk
from tests.unit.collecting import TP

TRACES = 2 * TRACES_AT_ONCE + 1


class Outside:
    """Store, topics and offsets, in the order in which they are asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def query(self, _: str, *, parameters: Any, **__: Any) -> Any:
        self.calls.append(("read", len(parameters["keys"])))
        return SimpleNamespace(result_rows=[(*key, "output", 1.0, None, 0) for key in parameters["keys"]])

    async def send(self, _topic: str, items: list[Any], _message: Any) -> None:
        self.calls.append(("scores", len(items)))

    async def dead_letters(self, letters: list[Any]) -> None:
        self.calls.append(("dead letters", len(letters)))


async def test_a_chunk_about_many_traces_is_evaluated_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    outside: Any = Outside()

    async def commit(*_: Any) -> None:
        outside.calls.append(("commit", 1))

    monkeypatch.setattr(evaluation, "commit_durable", commit)
    rules = [Rule(id_, id_, "has_errors", {}, 1.0) for id_ in ("first", "second")]
    requests = [EvaluationRequest("p", f"t{number}", 1, 1, rule) for rule in rules for number in range(TRACES)]
    records = [
        Record(TP.topic, TP.partition, offset, Micros(1), None, encode_request(request), ())
        for offset, request in enumerate(requests)
    ]
    acknowledged: list[bool] = []
    evaluator = evaluation.Evaluation(Settings(), outside, outside)
    await evaluator.take(Chunk(TP, records, lambda: acknowledged.append(True)))
    some = ("read", TRACES_AT_ONCE), ("scores", 2 * TRACES_AT_ONCE)
    assert outside.calls == [*some, *some, ("read", 1), ("scores", 2), ("dead letters", 0), ("commit", 1)]
    assert acknowledged == [True]
