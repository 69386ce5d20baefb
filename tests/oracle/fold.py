"""The oracle: all rows of a project from all of its events, by sorting, deduplicating and folding from scratch.

It is written to be read: one function for each rule, no state, no care for speed, nothing shared with pipeline.fold.
Rows are plain dicts keyed by the columns of pipeline.store.rows, but for those that tell when a row was written.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from pipeline.events.priced import Priced, Pricer
from tests.oracle.event_set import Known, distinct, visible
from tests.oracle.merge import Json, merged
from tests.oracle.tree import LONGEST_PATH, Tree, tree_of

LEVELS = ["DEBUG", "DEFAULT", "WARNING", "ERROR"]
NOTHING = Priced({}, "none", {}, None, "none", "", "", ())
CARRIED = ("trace_name", "user_id", "session_id", "release", "tags", "public")  # a trace's, though a span says it

Row = dict[str, Any]
Key = tuple[str, ...]  # project, the row's trace id, and for observations and scores their own id
Views = dict[str, dict[Key, Row]]


class Observation(NamedTuple):
    """One observation's merged opinions and what follows from them alone."""

    fields: Json
    start: int
    type: str
    level: str
    priced: Priced

    @property
    def is_open(self) -> bool:
        """True until an end time is known; an EVENT is a moment."""
        return "end_time" not in self.fields and self.type != "EVENT"


def views(known: Iterable[Known], price: Pricer) -> Views:
    """The rows of the views `traces`, `observations` and `scores`, whatever the order and the repeats of the events."""
    traces: defaultdict[tuple[str, str], list[Known]] = defaultdict(list)
    for each in known:
        traces[each.event.project_id, each.event.trace_id].append(each)
    rows: Views = {"traces": {}, "observations": {}, "scores": {}}
    for (project_id, trace_id), events in traces.items():
        _add_trace(rows, project_id, trace_id, distinct(events), price)
    return rows


def _add_trace(rows: Views, project_id: str, trace_id: str, all_events: list[Known], price: Pricer) -> None:
    """All rows of one trace, or of one group of scores that have no trace and so no trace row."""
    events = visible(all_events)
    names = {"project_id": project_id, "trace_id": trace_id}
    for id_, some in _by_entity(events, "score").items():
        row = _score_row(names, id_, some)
        rows["scores"][project_id, row["trace_id"], id_, "" if row["trace_id"] else trace_id] = row
    is_group = trace_id.startswith(("session:", "run:"))
    if not events or (is_group and all(each.event.kind == "score" for each in events)):
        return
    observations = {
        id_: _observation(project_id, some, price) for id_, some in _by_entity(events, "observation").items()
    }
    tree = tree_of(
        {id_: each.fields.get("parent_observation_id", "") for id_, each in observations.items()},
        {id_: each.start for id_, each in observations.items()},
    )
    attributes = _attributes(events, observations, tree)
    wrappers = {id_ for id_ in observations if _repeats_a_child(id_, observations, tree)}
    trace_row = _trace_row(events, observations, tree, attributes, wrappers)
    flags = sorted([*trace_row["flags"], *_flags_of_all(all_events)])
    rows["traces"][project_id, trace_id] = names | trace_row | {"flags": flags}
    for id_ in observations:
        row = _observation_row(id_, observations, tree, attributes, wrappers)
        rows["observations"][project_id, trace_id, id_] = names | row


def _by_entity(events: Iterable[Known], kind: str) -> dict[str, list[Known]]:
    found: defaultdict[str, list[Known]] = defaultdict(list)
    for each in events:
        if each.event.kind == kind:
            found[each.event.entity_id].append(each)
    return found


def _observation(project_id: str, events: list[Known], price: Pricer) -> Observation:
    """A given start time or type beats a provisional one: the oldest event's time, or the type an update implies."""
    fields = merged(each.event.fields for each in events)
    start = fields.get("start_time", events[0].event.at)
    type_ = fields.get("type") or fields.get("type_provisional") or "SPAN"
    return Observation(fields, start, type_, fields.get("level", "DEFAULT"), price(project_id, fields, start))  # type: ignore[arg-type]


def _attributes(events: list[Known], observations: Mapping[str, Observation], tree: Tree) -> Row:
    """The trace's attributes: trace events' word, else the root's, else the newest of any observation; all tags."""
    own = merged(each.event.fields for each in events if each.event.kind == "trace")
    root = observations[tree.root].fields if tree.root else {}
    spans = [each.event.fields for each in events if each.event.kind == "observation"]
    newest = merged({name: said for name, said in fields.items() if name in CARRIED} for fields in spans)
    return {
        "name": own.get("name") or root.get("trace_name") or newest.get("trace_name") or root.get("name", ""),
        "user_id": own.get("user_id") or root.get("user_id") or newest.get("user_id", ""),
        "session_id": own.get("session_id") or root.get("session_id") or newest.get("session_id", ""),
        "tags": sorted({*own["tags"], *newest["tags"]}),
        "release": own.get("release") or root.get("release") or newest.get("release", ""),
        "version": own.get("version") or root.get("version", ""),
        "environment": own.get("environment") or root.get("environment", "default"),
        "public": own.get("public", root.get("public", newest.get("public", False))),
    }


def _repeats_a_child(id_: str, observations: Mapping[str, Observation], tree: Tree) -> bool:
    """A wrapper: it has usage, and one that hangs directly under it has the same, of the same model if it names one.

    Its known cost stays in the sums where that child has none.
    """
    own = observations[id_]
    children = [observations[child] for child in tree.children(id_)]
    model = own.fields.get("model", "")
    return bool(own.priced.usage) and any(
        child.priced.usage == own.priced.usage
        and model in ("", child.fields.get("model", ""))
        and (own.priced.total_cost is None or child.priced.total_cost is not None)
        for child in children
    )


def _counted(id_: str, observations: Mapping[str, Observation], wrappers: set[str]) -> Priced:
    """What an observation adds to sums; a wrapper adds nothing, its child does."""
    return NOTHING if id_ in wrappers else observations[id_].priced


def _trace_row(
    events: list[Known], observations: Mapping[str, Observation], tree: Tree, attributes: Row, wrappers: set[str]
) -> Row:
    own = merged(each.event.fields for each in events if each.event.kind == "trace")
    starts = [each.start for each in observations.values()]
    ends = [each.fields["end_time"] for each in observations.values() if "end_time" in each.fields]
    levels = [each.level for each in observations.values()]
    running = any(each.is_open for each in observations.values())
    usage, cost = _sums([_counted(id_, observations, wrappers) for id_ in observations])
    return attributes | {
        "metadata": _text_map(own["metadata"]),
        "input": own.get("input", ""),
        "output": own.get("output", ""),
        "start_time": own.get("start_time", min(starts, default=events[0].event.at)),
        "end_time": max(ends, default=None),
        "latency_ms": _milliseconds(min(starts), max(ends)) if ends else None,
        "level": max(levels, key=LEVELS.index, default="DEFAULT"),
        "status": "RUNNING" if running else "ERROR" if "ERROR" in levels else "SUCCESS",
        "error_count": levels.count("ERROR"),
        "observation_count": len(observations),
        "usage": usage,
        "total_tokens": usage.get("total", 0),
        "cost": cost,
        "total_cost": cost.get("total"),
        "root_observation_id": tree.root,
        "flags": _trace_flags(events, tree, bool(ends) and max(ends) < min(starts)),
    }


def _trace_flags(events: list[Known], tree: Tree, ends_before_it_starts: bool) -> list[str]:
    stated = any(each.event.kind == "trace" for each in events)
    flags = {
        "missing_root": not tree.tops and not stated,
        "several_roots": tree.tops > 1 and not stated,
        "negative_duration": ends_before_it_starts,
    }
    return sorted(flag for flag, holds in flags.items() if holds)


def _flags_of_all(events: list[Known]) -> list[str]:
    """What is odd about the events, hidden ones included."""
    ids = [each.event.event_id for each in events]
    flags = {
        "conflicting_events": len(set(ids)) < len(ids),
        "derived_trace": any(each.event.derived_trace for each in events),
    }
    return [flag for flag, holds in flags.items() if holds]


def _observation_row(
    id_: str, observations: Mapping[str, Observation], tree: Tree, attributes: Row, wrappers: set[str]
) -> Row:
    fields, start, type_, level, priced = observations[id_]
    end, first_token = fields.get("end_time"), fields.get("completion_start_time")
    below = [other for other in observations if other == id_ or id_ in tree.ancestors(other)]
    usage, cost = _sums([_counted(other, observations, wrappers) for other in below])
    flags = {
        "orphan": id_ in tree.orphans,
        "cycle_cut": id_ in tree.cuts,
        "provisional_start": "start_time" not in fields,
        "negative_duration": end is not None and end < start,
        "duplicate_usage": id_ in wrappers,
        "path_truncated": len(tree.ancestors(id_)) >= LONGEST_PATH,
    }
    texts = ("parent_observation_id", "name", "status_message", "model", "model_parameters", "input", "output",
             "prompt_name")  # fmt: skip
    return {name: fields.get(name, "") for name in texts} | {
        "observation_id": id_,
        "type": type_,
        "start_time": start,
        "end_time": end,
        "completion_start_time": first_token,
        "latency_ms": _milliseconds(start, end),
        "time_to_first_token_ms": _milliseconds(start, first_token),
        "level": level,
        "version": fields.get("version") or attributes["version"],
        "environment": fields.get("environment") or attributes["environment"],
        "priced_model": priced.priced_model,
        "metadata": _text_map(fields["metadata"]),
        "usage": priced.usage,
        "usage_provided": fields.get("usage", {}),
        "usage_source": priced.usage_source,
        "usage_rule": priced.usage_rule,
        "cost": priced.cost,
        "total_cost": priced.total_cost,
        "cost_source": priced.cost_source,
        "price_id": priced.price_id,
        "prompt_version": fields.get("prompt_version"),
        "tool_calls": fields.get("tool_calls", []),
        "depth": len(tree.ancestors(id_)),
        "path": tree.path(id_),
        "child_count": len(tree.children(id_)),
        "subtree_cost": cost.get("total"),
        "subtree_tokens": usage.get("total", 0),
        "orphan": id_ in tree.orphans,
        "flags": sorted([*priced.flags, *(flag for flag, holds in flags.items() if holds)]),
        "trace_name": attributes["name"],
        "user_id": attributes["user_id"],
        "session_id": attributes["session_id"],
        "tags": attributes["tags"],
        "release": attributes["release"],
    }


def _score_row(names: Mapping[str, str], id_: str, events: list[Known]) -> Row:
    """One score: the last word of each field; a number is only shown where the last type is one of numbers."""
    fields = merged(each.event.fields for each in events)
    texts = ("observation_id", "session_id", "dataset_run_id", "name", "string_value", "comment", "evaluator")
    has_trace = not names["trace_id"].startswith(("session:", "run:"))
    kind = fields.get("data_type", "NUMERIC")
    return {name: fields.get(name, "") for name in texts} | {
        "project_id": names["project_id"],
        "score_id": id_,
        "trace_id": names["trace_id"] if has_trace else "",
        "data_type": kind,
        "value": fields.get("value") if kind in ("NUMERIC", "BOOLEAN") else None,
        "source": fields.get("source", "API"),
        "environment": fields.get("environment", "default"),
        "metadata": _text_map(fields["metadata"]),
        "at": events[-1].event.at,
    }


def _sums(priced: Iterable[Priced]) -> tuple[dict[str, int], dict[str, Decimal]]:
    """Usage and cost added up key by key, in the order of the keys; what is unknown adds nothing."""
    usage: defaultdict[str, int] = defaultdict(int)
    cost: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in priced:
        for key, count in each.usage.items():
            usage[key] += count
        for key, amount in each.cost.items():
            cost[key] += amount
    return dict(sorted(usage.items())), dict(sorted(cost.items()))


def _milliseconds(start: int, end: int | None) -> float | None:
    """From start to end, microseconds both; None where there is no end or it lies before the start."""
    return None if end is None or end < start else (end - start) / 1000


def _text_map(metadata: Json) -> dict[str, str]:
    """Top-level keys in order; a text as it is, anything else as JSON with its keys in order."""
    return {
        key: value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        for key, value in sorted(metadata.items())
    }
