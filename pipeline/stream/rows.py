"""From what the fold says to the rows of the store: names, units and empty values, and when they may leave.

All rows of a trace may leave together, by when it was first seen. Scores without a trace go each by its own time,
which no clock of a client can move before the first one or past now; a row that takes one back stays as long as
anything it hides (store/retention.py says the same in SQL).

Rows are made by position, those of observations without their type's constructor: that costs a fifth of what names do.
The tests compare every column by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.events.keys import is_trace
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED
from pipeline.fold.attributes import NO_ATTRIBUTES, Attributes
from pipeline.fold.state import TraceState
from pipeline.fold.views import Built, ObservationView, ScoreView, TraceView
from pipeline.store.retention import FOREVER
from pipeline.store.rows import EPOCH_STEP, ObservationRow, ScoreRow, TraceRow

Until = Callable[[int], int]
"""When rows of a trace, or of a group of scores, of this time (microseconds) may leave, in seconds since the epoch."""

_MILLI = 1000.0


class Rows(NamedTuple):
    """Rows of one flush, or of one trace."""

    traces: list[TraceRow]
    observations: list[ObservationRow]
    scores: list[ScoreRow]


def row_version(events: int, settled: bool = False, epoch: int = 0) -> int:
    """A row from more events wins; a settled trace row wins over the open one of the same events."""
    return epoch * EPOCH_STEP + 2 * events + settled


def for_ever(_since: int) -> int:
    """Rows that do not leave."""
    return FOREVER


def add_rows(
    rows: Rows, state: TraceState, built: Built, *, settled: bool, now: Micros, until: Until = for_ever
) -> None:
    """Append the rows that one build of a trace asks for."""
    version, expires = row_version(state.event_count, epoch=state.epoch), until(state.first_seen)
    attributes = built.attributes
    if built.trace is not None:
        rows.traces.append(_trace_row(state, built.trace, attributes, settled, now, version + settled, expires))
    if built.observations:
        project, trace, seen, tags = state.project_id, state.trace_id, state.first_seen, list(attributes.tags)
        rows.observations.extend(
            _observation_row(project, trace, attributes, tags, view, seen, now, version, expires)
            for view in built.observations
        )
    rows.scores.extend(_score_row(state, view, now, version, until) for view in built.scores)
    rows.observations.extend(_deleted_observation(state, id_, now, version, expires) for id_ in built.gone_observations)
    rows.scores.extend(_deleted_score(state, id_, now, version, until) for id_ in built.gone_scores)


def tombstones(
    state: TraceState, kind: str, id_: str, traces: Sequence[TraceRow], now: Micros, until: Until = for_ever
) -> Rows:
    """Rows that take back one row: the trace's own (made from `traces`, as it stands), an observation's, a score's."""
    version = row_version(state.event_count, epoch=max(state.epoch, 0))
    if kind == "observation":
        return Rows([], [_deleted_observation(state, id_, now, version, until(state.first_seen))], [])
    if kind == "score":
        return Rows([], [], [_deleted_score(state, id_, now, version, until)])
    return Rows([row._replace(is_deleted=1, row_version=version) for row in traces], [], [])


def _trace_row(
    state: TraceState,
    view: TraceView,
    attributes: Attributes,
    settled: bool,
    now: Micros,
    version: int,
    expires: int,
) -> TraceRow:
    fields = view.fields
    return TraceRow(
        state.project_id,
        state.trace_id,
        attributes.name,
        attributes.user_id,
        attributes.session_id,
        attributes.environment,
        attributes.release,
        attributes.version,
        list(attributes.tags),
        attributes.public,
        _text_map(fields["metadata"]) if "metadata" in fields else {},
        fields.get("input", ""),
        fields.get("output", ""),
        view.start_time,
        view.end_time,
        None if view.latency is None else view.latency / _MILLI,
        view.level,
        view.status,
        view.error_count,
        view.observation_count,
        view.usage,
        view.total_tokens,
        view.cost,
        view.total_cost,
        view.root,
        settled,
        view.flags,
        state.first_seen,
        now,
        version,
        int(view.deleted),
        expires,
    )


def _observation_row(
    project_id: str,
    trace_id: str,
    attributes: Attributes,
    tags: list[str],
    view: ObservationView,
    first_seen: Micros,
    now: Micros,
    version: int,
    expires: int,
) -> ObservationRow:
    (id_, fields, type_, start, level, priced, depth, path, children, cost, tokens, orphan, flags) = view
    first_token, end = fields.get("completion_start_time"), fields.get("end_time")
    columns = (
        project_id,
        trace_id,
        id_,
        fields.get("parent_observation_id", ""),
        type_,
        fields.get("name", ""),
        start,
        end,
        first_token,
        _span_ms(start, end),
        _span_ms(start, first_token),
        level,
        fields.get("status_message", ""),
        fields.get("version") or attributes.version,
        fields.get("environment") or attributes.environment,
        fields.get("model", ""),
        priced.priced_model,
        fields.get("model_parameters", ""),
        fields.get("input", ""),
        fields.get("output", ""),
        _text_map(fields["metadata"]) if "metadata" in fields else {},
        priced.usage,
        fields.get("usage", {}),
        priced.usage_source,
        priced.usage_rule,
        priced.cost,
        priced.total_cost,
        priced.cost_source,
        priced.price_id,
        fields.get("prompt_name", ""),
        fields.get("prompt_version"),
        fields.get("tool_calls", []),
        depth,
        path,
        children,
        cost,
        tokens,
        orphan,
        flags,
        attributes.name,
        attributes.user_id,
        attributes.session_id,
        tags,
        attributes.release,
        first_seen,
        now,
        version,
        0,
        expires,
    )
    return tuple.__new__(ObservationRow, columns)  # its constructor takes three times as long


def _score_row(state: TraceState, view: ScoreView, now: Micros, version: int, until: Until) -> ScoreRow:
    fields: Fields = view.fields
    alone = not is_trace(state.trace_id)
    return ScoreRow(
        project_id=state.project_id,
        score_id=view.score_id,
        trace_id=_trace_of_scores(state),
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
        row_version=version,
        expires_at=until(max(state.first_seen, min(view.at, now)) if alone else state.first_seen),
        score_group=state.trace_id if alone else "",
    )


def _trace_of_scores(state: TraceState) -> str:
    """It is part of the key, so it must not depend on what the events of a score say."""
    return state.trace_id if is_trace(state.trace_id) else ""


def _deleted_observation(state: TraceState, id_: str, now: Micros, version: int, expires: int) -> ObservationRow:
    """A row that takes back the one under the same key."""
    view = ObservationView(id_, Fields(), "SPAN", state.first_seen, "DEFAULT", UNPRICED, 0, [], 0, None, 0, False, [])
    row = _observation_row(
        state.project_id, state.trace_id, NO_ATTRIBUTES, [], view, state.first_seen, now, version, expires
    )
    return row._replace(is_deleted=1)


def _deleted_score(state: TraceState, id_: str, now: Micros, version: int, until: Until) -> ScoreRow:
    """A row that takes back the one under the same key."""
    row = _score_row(state, ScoreView(id_, Fields(), now), now, version, until)
    return row._replace(is_deleted=1, at=Micros(0))


def _span_ms(start: Micros, end: Micros | None) -> float | None:
    """Milliseconds from start to end; None without an end or where it lies before the start."""
    return None if end is None or end < start else (end - start) / _MILLI


def _text_map(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Top-level keys with their values as text; keys are sorted at every level: no order of arrival shows."""
    return {key: _sorted_text(metadata[key]) for key in sorted(metadata) if metadata[key] is not None}


def _sorted_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
