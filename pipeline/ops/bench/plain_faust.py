"""The same work as people write it with Faust, to compare with: one agent, one event at a time, default settings.

It decodes JSON, drops events whose id it has seen, merges the fields of each observation and trace, prices the usage,
and every half second inserts raw events, observations and traces through clickhouse-connect, into the same tables.
It does less than the worker: no validation, no order of writers, no tree, no trace attributes on the observations, no
settling, no read-back, no offsets tied to inserts; a crash loses events. Whatever could be done in two ways is done in
the cheaper one (orjson, a price table of one model, no web server).
It leaves the same figures as the worker: its own CPU when ready and after the last insert.

Usage: `python -m pipeline.ops.bench.plain_faust worker --without-web`, configured by SPANFOLD_*.
"""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faust
import orjson

from pipeline.config import Settings
from pipeline.ops.bench.traffic import PROJECT
from pipeline.store.client import connect

FLUSH_INTERVAL = 0.5  # seconds
PRICES = {"gpt-4o": {"input": 2.5e-6, "output": 1e-5}}  # USD per token
RAW = ("project_id", "trace_id", "event_id", "entity_id", "kind", "value", "timestamp", "first_seen")
OBSERVATION = (
    "project_id", "trace_id", "observation_id", "parent_observation_id", "type", "name", "start_time", "end_time",
    "latency_ms", "level", "environment", "model", "model_parameters", "input", "output", "metadata", "usage", "cost",
    "total_cost", "first_seen", "updated_at", "row_version",
)  # fmt: skip
TRACE = (
    "project_id", "trace_id", "name", "user_id", "session_id", "tags", "environment", "release", "metadata", "input",
    "start_time", "usage", "total_cost", "observation_count", "first_seen", "updated_at", "row_version",
)  # fmt: skip

Fields = dict[str, Any]
settings = Settings()
app = faust.App(
    settings.topic_prefix, broker=f"kafka://{settings.kafka_bootstrap}", datadir=str(settings.data_dir / "faust")
)
events_topic = app.topic(settings.events_topic, value_serializer="raw", key_serializer="raw")
client = connect(settings)

seen: set[str] = set()
raw: list[list[Any]] = []
observations: dict[str, Fields] = {}
traces: dict[str, Fields] = {}
members: dict[str, list[str]] = {}
changed_observations: set[str] = set()
changed_traces: set[str] = set()
marks: dict[str, Any] = {"stages": {}}


@app.agent(events_topic)
async def fold(stream: Any) -> None:
    """One event at a time."""
    async for value in stream:
        if "ready" not in marks:
            mark("ready")
            Path(os.environ["SPANFOLD_READY_FILE"]).touch()
        event = orjson.loads(value)
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        body = {name: said for name, said in event["body"].items() if said is not None}
        now = datetime.now(UTC)
        trace_id = body.get("traceId", body["id"])
        is_trace = event["type"] == "trace-create"
        raw.append(
            [PROJECT, trace_id, event["id"], body["id"], "trace" if is_trace else "observation", value, now, now]
        )
        if is_trace:
            merge(traces.setdefault(trace_id, {}), body)
        else:
            if body["id"] not in observations:
                members.setdefault(trace_id, []).append(body["id"])
            observation = observations.setdefault(body["id"], {"type": event["type"].partition("-")[0].upper()})
            merge(observation, body)
            price(observation)
            changed_observations.add(body["id"])
        changed_traces.add(trace_id)


def merge(fields: Fields, body: Fields) -> None:
    """The last one wins; metadata is merged."""
    metadata = {**fields.get("metadata", {}), **body.get("metadata", {})}
    fields.update(body)
    fields["metadata"] = metadata
    fields["events"] = fields.get("events", 0) + 1


def price(fields: Fields) -> None:
    """Cost of the usage, where the model has a price."""
    usage, prices = fields.get("usageDetails"), PRICES.get(fields.get("model", ""))
    if usage and prices:
        cost = {key: usage[key] * unit for key, unit in prices.items() if key in usage}
        fields["cost"] = {**cost, "total": sum(cost.values())}


@app.timer(interval=FLUSH_INTERVAL)  # type: ignore[untyped-decorator]  # Faust says nothing of its types
async def flush() -> None:
    """Insert what changed."""
    if not raw:
        return
    now = datetime.now(UTC)
    client.insert("raw_events", raw, column_names=RAW)
    client.insert(
        "observations_rows", [observation_row(observations[id_], now) for id_ in changed_observations], OBSERVATION
    )
    client.insert("traces_rows", [trace_row(id_, now) for id_ in changed_traces], TRACE)
    raw.clear()
    changed_observations.clear()
    changed_traces.clear()
    mark("flushed")
    Path(os.environ["SPANFOLD_PROFILE_STAGES"]).write_text(json.dumps(marks | {"peak_bytes": 0}))


def observation_row(fields: Fields, now: datetime) -> list[Any]:
    """In the order of OBSERVATION."""
    start = datetime.fromisoformat(fields["startTime"])
    end = datetime.fromisoformat(fields["endTime"]) if "endTime" in fields else None
    cost = fields.get("cost", {})
    return [
        PROJECT, fields["traceId"], fields["id"], fields.get("parentObservationId", ""), fields["type"],
        fields.get("name", ""), start, end, (end - start).total_seconds() * 1000 if end else None,
        fields.get("level", "DEFAULT"), fields.get("environment", "default"), fields.get("model", ""),
        text(fields.get("modelParameters", "")), text(fields.get("input", "")), text(fields.get("output", "")),
        {key: text(value) for key, value in fields["metadata"].items()}, fields.get("usageDetails", {}), cost,
        cost.get("total"), now, now, fields["events"],
    ]  # fmt: skip


def trace_row(trace_id: str, now: datetime) -> list[Any]:
    """In the order of TRACE."""
    fields = traces.get(trace_id, {"metadata": {}})
    mine = [observations[id_] for id_ in members.get(trace_id, ())]
    usage: dict[str, int] = {}
    for observation in mine:
        for key, units in observation.get("usageDetails", {}).items():
            usage[key] = usage.get(key, 0) + units
    total = sum(observation.get("cost", {}).get("total", 0.0) for observation in mine)
    start = datetime.fromisoformat(fields["timestamp"]) if "timestamp" in fields else now
    events = fields.get("events", 0) + sum(observation["events"] for observation in mine)
    return [
        PROJECT, trace_id, fields.get("name", ""), fields.get("userId", ""), fields.get("sessionId", ""),
        fields.get("tags", []), fields.get("environment", "default"), fields.get("release", ""),
        {key: text(value) for key, value in fields["metadata"].items()}, text(fields.get("input", "")),
        start, usage, total, len(mine), now, now, events,
    ]  # fmt: skip


def text(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def mark(name: str) -> None:
    """CPU used until now."""
    marks[name] = {"process": time.process_time(), "store": 0.0}


if __name__ == "__main__":
    app.main()
