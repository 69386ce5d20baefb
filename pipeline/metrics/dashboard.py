"""infra/grafana/spanfold.json, from a table of panels.

Make it anew with `python -m pipeline.metrics.dashboard > infra/grafana/spanfold.json`. A panel is a title, a unit of
Grafana's, and queries with their legends. Rows fold; panels stand three to a line. A test holds every query to the
names and labels in names.py.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_ACROSS, _WIDTH, _HEIGHT = 3, 8, 8  # panels to a line; Grafana's grid has 24 columns
_SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One chart over time; `stacked` where the series are shares of a whole."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]  # PromQL, legend
    stacked: bool = False
    text: str = ""


def _quantiles(metric: str, by: str = "", match: str = "") -> tuple[tuple[str, str], ...]:
    labels = f"le, {by}" if by else "le"
    rate = f"sum by ({labels}) (rate({metric}_bucket{match}[$__rate_interval]))"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple((f"histogram_quantile({share}, {rate})", f"{legend}p{share * 100:g}") for share in (0.5, 0.99))


def _rate(metric: str, by: str, legend: str = "") -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))", legend or f"{{{{{by}}}}}"


_PRICED = "sum by (cost_source) (rate(spanfold_call_rows_total[$__rate_interval]))"
_WRITTEN = "ignoring (cost_source) group_left sum(rate(spanfold_call_rows_total[$__rate_interval]))"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Is it well?": (
        Panel(
            "Events per second",
            "ops",
            (
                ('sum(rate(spanfold_ingest_events_total{outcome="accepted"}[$__rate_interval]))', "accepted"),
                _rate("spanfold_events_total", "outcome", "committed: {{outcome}}"),
            ),
        ),
        Panel(
            "Freshness",
            "s",
            _quantiles("spanfold_freshness_seconds", match='{stage="stored"}'),
            text="From the broker's append to rows in the store.",
        ),
        Panel("Lag in seconds", "s", (("max by (topic) (spanfold_lag_seconds)", "{{topic}}"),)),
        Panel("Dead letters", "ops", (_rate("spanfold_dead_letters_total", "reason"),)),
        Panel("Answers of the front door", "reqps", (_rate("spanfold_ingest_requests_total", "status"),)),
        Panel("Processes", "short", (("sum by (job) (up)", "{{job}} up"),)),
    ),
    "Kafka": (
        Panel(
            "Records sent on",
            "ops",
            (
                _rate("spanfold_moved_records_total", "what"),
                ("sum(spanfold_moves_open)", "on their way"),
                ("sum(rate(spanfold_move_seconds_total[$__rate_interval]))", "seconds spent"),
            ),
            text="Home: after a topic grew, or from another partitioner. Aside and back: to the overflow, and from it.",
        ),
        Panel("Lag in records, by partition", "short", (("spanfold_lag_records", "{{topic}} {{partition}}"),)),
        Panel("Records taken in", "ops", (_rate("spanfold_records_total", "instance"),)),
        Panel("Bytes taken in", "Bps", (_rate("spanfold_record_bytes_total", "instance"),)),
        Panel("Partitions assigned", "short", (("spanfold_assigned_partitions", "{{instance}}"),)),
        Panel("Rebalances", "ops", (_rate("spanfold_rebalances_total", "what"),)),
        Panel(
            "Commits, and messages sent again",
            "ops",
            (
                _rate("spanfold_commits_total", "outcome"),
                ("sum(rate(spanfold_send_retries_total[$__rate_interval]))", "sent again"),
            ),
        ),
    ),
    "Where a second goes": (
        Panel("Event loop, by stage", "percentunit", (_rate("spanfold_stage_seconds_total", "stage"),), stacked=True),
        Panel("Flush, by step", "percentunit", (_rate("spanfold_flush_step_seconds_total", "step"),), stacked=True),
        Panel(
            "Backpressure",
            "percentunit",
            (_rate("spanfold_backpressure_seconds_total", "waiting_for", "waiting for {{waiting_for}}"),),
            text="Intake stands still and fetching pauses.",
        ),
        Panel("Freshness by stage", "s", _quantiles("spanfold_freshness_seconds", "stage")),
        Panel("Flush time", "s", _quantiles("spanfold_flush_seconds")),
        Panel("Flush size", "short", _quantiles("spanfold_flush_events")),
    ),
    "The store": (
        Panel("Rows written", "ops", (_rate("spanfold_rows_total", "table"),)),
        Panel("Inserts sent again, by what is at fault", "ops", (_rate("spanfold_store_retries_total", "blame"),)),
        Panel(
            "Refused rows and repeated reads",
            "ops",
            (
                _rate("spanfold_refused_rows_total", "table, code", "refused: {{table}}, code {{code}}"),
                ("sum(rate(spanfold_store_read_retries_total[$__rate_interval]))", "read again"),
            ),
        ),
        Panel("Silence of the store", "s", (("spanfold_store_silence_seconds", "{{instance}}"),)),
        Panel(
            "Read back",
            "ops",
            (_rate("spanfold_read_backs_total", "what"),),
            text="Traces folded again from the archive; content of giant traces.",
        ),
        Panel("Time of reading back", "percentunit", (_rate("spanfold_read_back_seconds_total", "instance"),)),
    ),
    "Traces and memory": (
        Panel(
            "Open traces",
            "short",
            (("sum(spanfold_open_traces)", "open"), ("sum(spanfold_sleeping_traces)", "of these asleep")),
        ),
        Panel(
            "In memory",
            "short",
            (
                ("sum(spanfold_resident_traces)", "traces"),
                ("sum(spanfold_unwritten_traces)", "of these with rows that wait"),
            ),
        ),
        Panel(
            "Settled, evicted, woken",
            "ops",
            (
                ("sum(rate(spanfold_settled_traces_total[$__rate_interval]))", "settled"),
                ("sum(rate(spanfold_evicted_traces_total[$__rate_interval]))", "evicted"),
                ("sum(rate(spanfold_woken_traces_total[$__rate_interval]))", "woken"),
            ),
        ),
        Panel(
            "Memory of traces, and of all that is held",
            "bytes",
            (("spanfold_resident_bytes", "{{instance}} traces"), ("spanfold_held_bytes", "{{instance}} all")),
        ),
        Panel("Resident memory", "bytes", (("process_resident_memory_bytes", "{{job}} {{instance}}"),)),
        Panel("Known traces", "short", (("sum(spanfold_known_traces)", "8 bytes each"),)),
    ),
    "Cost and evaluations": (
        Panel("Share of calls, by source of cost", "percentunit", ((f"{_PRICED} / {_WRITTEN}", "{{cost_source}}"),)),
        Panel("Calls, by source of usage", "ops", (_rate("spanfold_call_rows_total", "usage_source"),)),
        Panel(
            "Evaluations",
            "ops",
            (
                ("sum(rate(spanfold_evaluation_requests_total[$__rate_interval]))", "asked for"),
                _rate("spanfold_evaluations_total", "outcome"),
            ),
        ),
    ),
    "The front door": (
        Panel("Events by outcome", "ops", (_rate("spanfold_ingest_events_total", "outcome"),)),
        Panel("Time of a request", "s", _quantiles("spanfold_ingest_request_seconds")),
        Panel("Requests by route", "reqps", (_rate("spanfold_ingest_requests_total", "route"),)),
        Panel("Bodies held", "bytes", (("spanfold_ingest_held_bytes", "{{instance}}"),)),
        Panel(
            "Lag that it sees",
            "short",
            (
                ("spanfold_ingest_lag_events", "{{instance}}"),
                ("spanfold_ingest_overflow_lag_events", "overflow, {{instance}}"),
            ),
        ),
        Panel(
            "Media reported and removed, events to the overflow",
            "ops",
            (
                _rate("spanfold_ingest_media_uploads_total", "outcome", "media: {{outcome}}"),
                ("sum(rate(spanfold_media_removed_total[$__rate_interval]))", "media: removed"),
                ("sum(rate(spanfold_ingest_overflow_events_total[$__rate_interval]))", "overflow"),
            ),
        ),
    ),
    "Is everything accounted for?": (
        Panel(
            "Records that do not add up",
            "short",
            (("max by (kind) (spanfold_ledger_missing_records)", "{{kind}}"),),
            text="Of the last hour, by the log and by the store. Anything but unproven is a loss.",
        ),
        Panel(
            "Traces audited",
            "ops",
            (
                ("sum(rate(spanfold_audit_traces_total[$__rate_interval]))", "looked at"),
                ("sum(rate(spanfold_audit_contents_traces_total[$__rate_interval]))", "of these column by column"),
                _rate("spanfold_audit_wrong_traces_total", "divergence", "wrong: {{divergence}}"),
            ),
        ),
        Panel(
            "Since ledger and audit were through",
            "s",
            (("time() - (max(spanfold_watch_last_look_timestamp_seconds) > 0)", "last look"),),
        ),
    ),
    "Processes": (
        Panel("CPU", "percentunit", (_rate("process_cpu_seconds_total", "instance"),)),
        Panel("Lateness of the event loop", "s", _quantiles("spanfold_loop_delay_seconds", "job")),
        Panel("Open files", "short", (("process_open_fds", "{{job}} {{instance}}"),)),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "spanfold",
        "title": "Spanfold",
        "tags": ["spanfold"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}],
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for title, panels in ROWS.items():
        place = _at(0, y, 24, 1)
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        number, y = number + 1, y + 1
        for index, panel in enumerate(panels):
            line, column = divmod(index, _ACROSS)
            yield _chart(panel, number, _at(column * _WIDTH, y + line * _HEIGHT, _WIDTH, _HEIGHT))
            number += 1
        y += -(-len(panels) // _ACROSS) * _HEIGHT


def _chart(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {"fillOpacity": 30 if panel.stacked else 5, "showPoints": "never"}
    if panel.stacked:
        custom["stacking"] = {"mode": "normal"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}, "legend": {"displayMode": "list"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
            for index, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
