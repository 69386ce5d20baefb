"""From evaluation requests to score events: read the traces from the store, ask the evaluators, name the scores.

A score's id is a function of project, rule and trace; its event also of the trace's revision. So the same request made
twice gives the same event, which is a duplicate, and a trace that was reopened gives a newer opinion of the same score.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from traceback import format_tb

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.evaluate.evaluators import EvaluatorError, Subject, evaluator
from pipeline.evaluate.requests import EvaluationRequest
from pipeline.events import keys
from pipeline.events.model import Event, Fields, Kind
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.store.lookups import BIG_QUERY

log = structlog.get_logger(__name__)

SUBJECTS = (Path(__file__).parent / "subjects.sql").read_text("utf-8")
TRACES_AT_ONCE = 100  # their outputs are in memory together, some megabytes each at most


def portions(requests: Sequence[EvaluationRequest]) -> Iterator[list[EvaluationRequest]]:
    """The requests, those about one trace together, of so many traces at once."""
    by_trace: dict[tuple[str, str], list[EvaluationRequest]] = {}
    for request in requests:
        by_trace.setdefault((request.project_id, request.trace_id), []).append(request)
    names = list(by_trace)
    for at in range(0, len(names), TRACES_AT_ONCE):
        yield [request for name in names[at : at + TRACES_AT_ONCE] for request in by_trace[name]]


def read_subjects(client: Client, requests: Sequence[EvaluationRequest]) -> dict[tuple[str, str], Subject]:
    """The traces that a portion of requests is about, by (project, trace); one that is gone is missing. Blocks."""
    names = sorted({(request.project_id, request.trace_id) for request in requests})
    subjects: dict[tuple[str, str], Subject] = {}
    rows = client.query(SUBJECTS, parameters={"keys": tuple(names)}, settings=BIG_QUERY).result_rows
    for project_id, trace_id, output, latency_ms, total_cost, errors in rows:
        cost = None if total_cost is None else float(total_cost)
        subjects[project_id, trace_id] = Subject(output, latency_ms, cost, errors)
    return subjects


def scores(
    requests: Iterable[EvaluationRequest], subjects: dict[tuple[str, str], Subject], metrics: Metrics = UNSEEN
) -> list[Event]:
    """The score events that the requests give rise to; rules that are wrong are logged and make none."""
    events = []
    for request in requests:
        subject = subjects.get((request.project_id, request.trace_id))
        if subject is None:
            log.warning("trace_not_found", project=request.project_id, trace=request.trace_id)
            metrics.add(Metric.EVALUATIONS, 1, "no_trace")
            continue
        try:
            verdict = evaluator(request.rule.evaluator)(subject, request.rule.parameters)
        except EvaluatorError as error:
            log.error(
                "rule_is_wrong",
                rule=request.rule.id, project=request.project_id, trace=request.trace_id, error=str(error),
            )  # fmt: skip
            metrics.add(Metric.EVALUATIONS, 1, "wrong_rule")
            continue
        except Exception as error:  # an evaluator's own mistake, which must not stop the others
            log.error(
                "evaluator_failed",
                rule=request.rule.id, project=request.project_id, trace=request.trace_id, error=type(error).__name__,
                where="".join(format_tb(error.__traceback__)),
            )  # fmt: skip
            metrics.add(Metric.EVALUATIONS, 1, "failed")
            continue
        metrics.add(Metric.EVALUATIONS, 1, "no_opinion" if verdict is None else "scored")
        if verdict is not None:
            events.append(_event(request, verdict.passed, verdict.comment))
    return events


def _event(request: EvaluationRequest, passed: bool, comment: str) -> Event:
    rule = request.rule
    score_id = keys.derived_id("score", request.project_id, rule.id, request.trace_id)
    fields = Fields(
        name=rule.name,
        data_type="BOOLEAN",
        value=1.0 if passed else 0.0,
        string_value="True" if passed else "False",
        comment=comment,
        source="EVAL",
        evaluator=rule.evaluator,
    )
    event_id = keys.derived_id(score_id, str(request.revision))
    return Event(request.project_id, request.trace_id, Kind.SCORE, score_id, event_id, request.at, fields)
