"""Made-up traces of a RAG application as canonical events, for the Kafka part: nine finished steps and one score.

Rule: everything follows from a trace's number (I7), so a demo looks the same each time. Most traces take about two
seconds, some fail, a few are so slow that the demo's rule finds them, and one model has no known price.
"""

from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from pipeline.events.keys import derived_id
from pipeline.events.model import Event, Fields, Kind, Micros

EVENTS_PER_TRACE = 10
NAME = "support-question"
_SLOW_FACTOR = 6.0  # 2.4 s become 14 s, above the limit of the demo's rule
_ANSWER = 7  # the place of the step that fails where a trace fails


class Step(NamedTuple):
    """A step of every trace; times in milliseconds from its start, `parent` is a place in the table."""

    type: str
    name: str
    parent: int | None
    start: int
    end: int
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


STEPS = (
    Step("AGENT", "answer-question", None, 0, 2_400),
    Step("GENERATION", "rewrite-question", 0, 5, 310, "gpt-4o-mini", 180, 24),
    Step("CHAIN", "search", 0, 310, 690),
    Step("EMBEDDING", "embed-question", 2, 310, 370, "voyage-3", 24, 0),
    Step("RETRIEVER", "vector-search", 2, 370, 460),
    Step("RETRIEVER", "keyword-search", 2, 370, 440),
    Step("TOOL", "rerank", 2, 460, 690, "our-own-reranker", 900, 1),
    Step("GENERATION", "answer", 0, 690, 2_150, "gpt-4o", 2_150, 240),
    Step("GUARDRAIL", "check-citations", 0, 2_150, 2_400),
)
_LARGE_MODEL = "claude-sonnet-4-20250514"  # answers every third question instead


def rag_events(project_id: str, traces: int, now: Micros) -> Iterator[Event]:
    """Ten events for each trace, all of which ended before `now`, the last one just then."""
    for number in range(traces):
        yield from _trace(project_id, number, Micros(now - (traces - 1 - number) * 50_000))


def _trace(project_id: str, number: int, ended: Micros) -> Iterator[Event]:
    trace_id = derived_id("demo", str(number))
    dice = xxhash.xxh3_64_intdigest(trace_id.encode())
    factor = (0.6 + dice % 1_000 / 1_000) * (_SLOW_FACTOR if dice % 25 == 0 else 1.0)
    began = ended - int(STEPS[0].end * factor * 1_000)
    failed = dice % 33 == 1
    ids = [derived_id(trace_id, step.name)[:16] for step in STEPS]
    for place, step in enumerate(STEPS):
        fields = _fields(step, number, ids, fails=failed and place == _ANSWER)
        fields["start_time"] = Micros(began + int(step.start * factor * 1_000))
        fields["end_time"] = at = Micros(began + int(step.end * factor * 1_000))
        yield Event(project_id, trace_id, Kind.OBSERVATION, ids[place], f"{ids[place]}-end", at, fields)
    score_id = derived_id(trace_id, "helpful")
    opinion = Fields(name="helpful", data_type="NUMERIC", value=0.0 if failed else dice % 5 / 4, source="API")
    yield Event(project_id, trace_id, Kind.SCORE, score_id, f"{score_id}-1", ended, opinion)


def _fields(step: Step, number: int, ids: list[str], *, fails: bool) -> Fields:
    fields = Fields(type=step.type, name=step.name, metadata={"question": number})
    if step.parent is None:
        fields |= Fields(trace_name=NAME, user_id=f"user-{number % 50}", session_id=f"session-{number % 200}")
        fields |= Fields(input=f"Question {number}: what is the notice period?")
    else:
        fields["parent_observation_id"] = ids[step.parent]
    if fails:
        return fields | Fields(level="ERROR", status_message="429: rate limit of the model provider", model=step.model)
    if step.model:
        model = _LARGE_MODEL if step.name == "answer" and number % 3 == 0 else step.model
        out = {"output": step.tokens_out} if step.tokens_out else {}
        fields |= Fields(model=model, usage={"input": step.tokens_in + number % 40, **out})
    return fields | Fields(output="Three months to the end of a quarter [2].")
