"""From what the fold says to the rows of the store: names, units and empty values, nothing else."""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.events.model import Fields, Micros
from pipeline.fold.build import Built, ObservationView, ScoreView, TraceView
from pipeline.fold.state import TraceState
from pipeline.store.rows import ObservationRow, ScoreRow, TraceRow

EPOCH_STEP = 2**40
_MILLI = 1000.0


def row_version(events: int, settled: bool = False, epoch: int = 0) -> int:
    """A row from more events wins; a settled trace row wins over the open one of the same events (DESIGN section 1)."""
    return epoch * EPOCH_STEP + 2 * events + settled


def rows_of(
    state: TraceState, built: Built, *, settled: bool, now: Micros, epoch: int = 0
) -> tuple[list[TraceRow], list[ObservationRow], list[ScoreRow]]:
    """All rows that one build of a trace asks for."""
    traces = [_trace_row(state, built.trace, settled, now, epoch)] if state.has_trace_row else []
    observations = [_observation_row(state, built.trace, view, now, epoch) for view in built.observations]
    scores = [_score_row(state, view, now, epoch) for view in built.scores]
    return traces, observations, scores


def _trace_row(state: TraceState, view: TraceView, settled: bool, now: Micros, epoch: int) -> TraceRow:
    fields, attributes = view.fields, view.attributes
    return TraceRow(
        project_id=state.project_id,
        trace_id=state.trace_id,
        name=attributes.name,
        user_id=attributes.user_id,
        session_id=attributes.session_id,
        environment=attributes.environment,
        release=attributes.release,
        version=attributes.version,
        tags=list(attributes.tags),
        public=attributes.public,
        metadata=_text_map(fields.get("metadata", {})),
        input=fields.get("input", ""),
        output=fields.get("output", ""),
        start_time=view.start_time,
        end_time=view.end_time,
        latency_ms=None if view.latency is None else view.latency / _MILLI,
        level=view.level,
        status=view.status,
        error_count=view.error_count,
        observation_count=view.observation_count,
        usage=view.usage,
        total_tokens=view.total_tokens,
        cost=view.cost,
        total_cost=view.total_cost,
        root_observation_id=view.root,
        settled=settled,
        flags=list(view.flags),
        first_seen=state.first_seen,
        updated_at=now,
        row_version=row_version(state.event_count, settled, epoch),
    )


def _observation_row(
    state: TraceState, trace: TraceView, view: ObservationView, now: Micros, epoch: int
) -> ObservationRow:
    fields, priced, place, attributes = view.fields, view.priced, view.place, trace.attributes
    first_token = fields.get("completion_start_time")
    end = fields.get("end_time")
    return ObservationRow(
        project_id=state.project_id,
        trace_id=state.trace_id,
        observation_id=view.observation_id,
        parent_observation_id=fields.get("parent_observation_id", ""),
        type=view.type,
        name=fields.get("name", ""),
        start_time=view.start_time,
        end_time=end,
        completion_start_time=first_token,
        latency_ms=_span_ms(view.start_time, end),
        time_to_first_token_ms=_span_ms(view.start_time, first_token),
        level=view.level,
        status_message=fields.get("status_message", ""),
        version=fields.get("version") or attributes.version,
        environment=fields.get("environment") or attributes.environment,
        model=fields.get("model", ""),
        priced_model=priced.priced_model,
        model_parameters=fields.get("model_parameters", ""),
        input=fields.get("input", ""),
        output=fields.get("output", ""),
        metadata=_text_map(fields.get("metadata", {})),
        usage=priced.usage,
        usage_provided=fields.get("usage", {}),
        usage_source=priced.usage_source,
        usage_rule=priced.usage_rule,
        cost=priced.cost,
        total_cost=priced.total_cost,
        cost_source=priced.cost_source,
        price_id=priced.price_id,
        prompt_name=fields.get("prompt_name", ""),
        prompt_version=fields.get("prompt_version"),
        tool_calls=fields.get("tool_calls", []),
        depth=place.depth,
        path=list(place.path),
        child_count=place.child_count,
        subtree_cost=place.subtree_cost,
        subtree_tokens=place.subtree_tokens,
        orphan=place.orphan,
        flags=list(view.flags),
        trace_name=attributes.name,
        user_id=attributes.user_id,
        session_id=attributes.session_id,
        tags=list(attributes.tags),
        release=attributes.release,
        first_seen=state.first_seen,
        updated_at=now,
        row_version=row_version(state.event_count, epoch=epoch),
    )


def _score_row(state: TraceState, view: ScoreView, now: Micros, epoch: int) -> ScoreRow:
    fields: Fields = view.fields
    return ScoreRow(
        project_id=state.project_id,
        score_id=view.score_id,
        trace_id="" if fields.get("session_id") or fields.get("dataset_run_id") else state.trace_id,
        observation_id=fields.get("observation_id", ""),
        session_id=fields.get("session_id", ""),
        dataset_run_id=fields.get("dataset_run_id", ""),
        name=fields.get("name", ""),
        data_type=fields.get("data_type", "NUMERIC"),
        value=fields.get("value"),
        string_value=fields.get("string_value", ""),
        comment=fields.get("comment", ""),
        source=fields.get("source", "API"),
        evaluator=fields.get("evaluator", ""),
        environment=fields.get("environment", "default"),
        metadata=_text_map(fields.get("metadata", {})),
        at=view.at,
        first_seen=state.first_seen,
        updated_at=now,
        row_version=row_version(state.event_count, epoch=epoch),
    )


def _span_ms(start: Micros, end: Micros | None) -> float | None:
    """Milliseconds from start to end; None without an end or where it lies before the start."""
    return None if end is None or end < start else (end - start) / _MILLI


def _text_map(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Top-level keys with their values as text; keys are sorted at every level: no order of arrival shows."""
    return {key: _sorted_text(metadata[key]) for key in sorted(metadata) if metadata[key] is not None}


def _sorted_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
