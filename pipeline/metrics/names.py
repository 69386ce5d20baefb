"""Every metric of Spanfold: name, kind, unit, who shows it, what it says, labels. docs/metrics.md is made from this.

To add one: a line here, `python -m pipeline.metrics > docs/metrics.md`, `metrics.add(Metric.X, …)` where it happens.
Rules, which tests hold: a counter ends in `_total`; a unit of seconds or bytes is in the name; a label never has a
value that strangers can make up (a project, a trace, a path), because each value is a time series.
"""

from enum import StrEnum

from pipeline.events.reasons import Reason
from pipeline.metrics.spec import EVERY, LONG, SHORT, SIZES, STREAM, Role, Spec, counter, gauge, histogram

_INGEST, _WORKER, _EVALUATOR = Role.INGEST, Role.WORKER, Role.EVALUATOR
_BLAMES = ("server", "size", "memory", "row", "unknown")  # pipeline/store/errors.py
_TABLES = (
    "raw_events", "observations_rows", "scores_rows", "traces_rows", "offset_ranges",
    "dead_letters_rows", "edge_counts",
)  # fmt: skip


class Metric(StrEnum):
    """A metric is its name, as Prometheus shows it; `spec` has the rest."""

    spec: Spec

    def __new__(cls, name: str, spec: Spec) -> "Metric":
        """A name with what it stands for."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.spec = spec
        return member

    # every process
    BUILD = (
        "spanfold_build_info",
        gauge("1", EVERY, "Always 1; which process this is.", "version", "role", "instance_id"),
    )
    LOOP_DELAY = (
        "spanfold_loop_delay_seconds",
        histogram("seconds", SHORT, EVERY, "How late the event loop's heartbeat was, twice a second."),
    )

    # workers and evaluators
    PARTITIONS = "spanfold_assigned_partitions", gauge("partitions", STREAM, "Partitions that this process has.")
    REBALANCES = (
        "spanfold_rebalances_total",
        counter("rebalances", STREAM, "How often partitions came or went.", what=("assigned", "revoked")),
    )
    RECORDS = (
        "spanfold_records_total",
        counter("records", STREAM, "Kafka records that were taken in: events by workers, requests by evaluators."),
    )
    BYTES = "spanfold_record_bytes_total", counter("bytes", STREAM, "Their values.")
    LAG = (
        "spanfold_lag_records",
        gauge("records", STREAM, "Records of a partition that are not committed.", "topic", "partition"),
    )
    LAG_SECONDS = (
        "spanfold_lag_seconds",
        gauge(
            "seconds", STREAM, "Age of a partition's oldest uncommitted record; 0 without one.", "topic", "partition"
        ),
    )
    COMMITS = (
        "spanfold_commits_total",
        counter("commits", STREAM, "Commits of offsets; a refused one is repeated.", outcome=("done", "refused")),
    )
    DEAD_LETTERS = (
        "spanfold_dead_letters_total",
        counter("records", STREAM, "Dead letters that Kafka has acknowledged.", reason=tuple(Reason)),
    )
    HELD = (
        "spanfold_held_partitions",
        gauge("partitions", STREAM, "Partitions that wait at a batch which nobody here can read."),
    )
    SEND_RETRIES = (
        "spanfold_send_retries_total",
        counter("messages", STREAM, "Messages to Kafka (dead letters, requests, scores) that had to be sent again."),
    )
    MOVED = (
        "spanfold_moved_records_total",
        counter(
            "records",
            _WORKER,
            "Records sent on as they are and acknowledged: home (to the partition of their trace, after a topic grew "
            "or from another partitioner), aside (old ones to the overflow), back (from there).",
            what=("home", "aside", "back"),
        ),
    )
    MOVES_OPEN = "spanfold_moves_open", gauge("records", _WORKER, "Records sent on that Kafka has not acknowledged.")
    MOVE_SECONDS = (
        "spanfold_move_seconds_total",
        counter("seconds", _WORKER, "Time in which records were sent on; flushes wait, but not for the overflow's."),
    )
    READ_RETRIES = (
        "spanfold_store_read_retries_total",
        counter("questions", STREAM, "Questions to the store (also that of media) that failed and were asked again."),
    )
    STORE_SILENCE = (
        "spanfold_store_silence_seconds",
        gauge("seconds", STREAM, "Since the store last answered; it is asked every few seconds."),
    )

    # workers
    FRESHNESS = (
        "spanfold_freshness_seconds",
        histogram(
            "seconds",
            LONG,
            _WORKER,
            "From the broker's append to: decoded; stored (archived, and the rows that are due written); committed "
            "(every row that follows is durable). Records count as old as the oldest of their chunk.",
            stage=("decoded", "stored", "committed"),
        ),
    )
    EVENTS = (
        "spanfold_events_total",
        counter(
            "events",
            _WORKER,
            "Committed events by what they were; rejected counts records.",
            outcome=("new", "duplicate", "rejected"),
        ),
    )
    FLUSH_SECONDS = "spanfold_flush_seconds", histogram("seconds", SHORT, _WORKER, "Time of a whole flush.")
    FLUSH_EVENTS = (
        "spanfold_flush_events",
        histogram("events", SIZES, _WORKER, "Events that a flush has taken along."),
    )
    STEP_SECONDS = (
        "spanfold_flush_step_seconds_total",
        counter(
            "seconds",
            _WORKER,
            "Wall time of the flush's steps: the archive, rows, what is sent, offset ranges, the commit.",
            step=("archive", "rows", "send", "ranges", "commit"),
        ),
    )
    STAGE_SECONDS = (
        "spanfold_stage_seconds_total",
        counter(
            "seconds",
            _WORKER,
            "Wall time of the event loop's own work; what is left of a second is Kafka's client, Faust, or idle.",
            stage=("decode", "fold", "build", "rows"),
        ),
    )
    BACKPRESSURE = (
        "spanfold_backpressure_seconds_total",
        counter(
            "seconds",
            _WORKER,
            "Time in which intake waited and fetching paused: for the store, for what is read back, "
            "for media to be kept, or for a partition to open.",
            waiting_for=("store", "read_back", "media", "partition"),
        ),
    )
    ROWS = "spanfold_rows_total", counter("rows", STREAM, "Rows that the store has acknowledged.", table=_TABLES)
    REFUSED = (
        "spanfold_refused_rows_total",
        counter(
            "rows",
            STREAM,
            "Rows that the store refuses for what is in them; unknown: by a code that error_codes.py does not list.",
            table=_TABLES,
            code=("known", "unknown"),
        ),
    )
    STORE_RETRIES = (
        "spanfold_store_retries_total",
        counter("inserts", STREAM, "Inserts that failed and were sent again, by what is at fault.", blame=_BLAMES),
    )
    READ_BACKS = (
        "spanfold_read_backs_total",
        counter(
            "traces",
            _WORKER,
            "Traces folded again from the archive, and observations of giant traces whose content came back.",
            what=("trace", "observation"),
        ),
    )
    READ_BACK_SECONDS = (
        "spanfold_read_back_seconds_total",
        counter("seconds", _WORKER, "Time in which something was read back; partitions side by side."),
    )
    EVICTED = "spanfold_evicted_traces_total", counter("traces", _WORKER, "Traces that left memory.")
    WOKEN = (
        "spanfold_woken_traces_total",
        counter("traces", _WORKER, "Open traces that were out of memory and were called back to settle."),
    )
    SETTLED = "spanfold_settled_traces_total", counter("traces", _WORKER, "Traces that settled.")
    OPEN = "spanfold_open_traces", gauge("traces", _WORKER, "Traces that have not settled, in memory or asleep.")
    ASLEEP = "spanfold_sleeping_traces", gauge("traces", _WORKER, "Those of them that are out of memory.")
    RESIDENT = "spanfold_resident_traces", gauge("traces", _WORKER, "Traces in memory, settled or not.")
    RESIDENT_BYTES = (
        "spanfold_resident_bytes",
        gauge("bytes", _WORKER, "Memory of the traces in memory, as estimated by their events."),
    )
    HELD_BYTES = (
        "spanfold_held_bytes",
        gauge("bytes", _WORKER, "Memory by the worker's estimate; above SPANFOLD_MEMORY_BYTES it takes nothing more."),
    )
    UNWRITTEN = "spanfold_unwritten_traces", gauge("traces", _WORKER, "Traces with rows that are due or wait.")
    KNOWN = "spanfold_known_traces", gauge("traces", _WORKER, "Traces that the archive is known to hold, 8 bytes each.")
    CALLS = (
        "spanfold_call_rows_total",
        counter(
            "rows",
            _WORKER,
            "Written rows of calls of models (GENERATION, EMBEDDING) that have ended, by whence cost and usage are.",
            cost_source=("provided", "computed", "none"),
            usage_source=("provided", "estimated", "none"),
        ),
    )
    REQUESTED = (
        "spanfold_evaluation_requests_total",
        counter("requests", _WORKER, "Evaluations asked for, acknowledged by Kafka."),
    )

    # evaluators
    EVALUATIONS = (
        "spanfold_evaluations_total",
        counter(
            "evaluations",
            _EVALUATOR,
            "Evaluations by outcome: a score, no opinion, the trace is gone, the rule is wrong.",
            outcome=("scored", "no_opinion", "no_trace", "wrong_rule", "failed"),
        ),
    )

    # ledger and audit, in the evaluator that watches
    LEDGER_MISSING = (
        "spanfold_ledger_missing_records",
        gauge(
            "records", Role.EVALUATOR, "What does not add up in the last hour of log and store; see docs/ledger.md.",
            kind=(
                "uncovered", "unproven", "not_in_log", "not_archived", "no_dead_letter", "lost_moving", "log_shorter",
                "edge_untold",
            ),
        ),
    )  # fmt: skip
    AUDIT_TRACES = (
        "spanfold_audit_traces_total",
        counter("traces", Role.EVALUATOR, "Traces whose rows were compared with their archived events."),
    )
    AUDIT_CONTENTS = (
        "spanfold_audit_contents_traces_total",
        counter("traces", Role.EVALUATOR, "Traces of which what their rows say was compared with their events."),
    )
    AUDIT_WRONG = (
        "spanfold_audit_wrong_traces_total",
        counter(
            "traces", Role.EVALUATOR, "Traces whose rows are not what their archived events make.",
            divergence=("missing_events", "overcounted", "split", "missing_rows", "other_contents", "left_over"),
        ),
    )  # fmt: skip
    WATCH_LAST = (
        "spanfold_watch_last_look_timestamp_seconds",
        gauge(
            "seconds", Role.EVALUATOR, "When ledger and audit were through last, Unix time; 0: not yet, or not here."
        ),
    )
    MEDIA_REMOVED = (
        "spanfold_media_removed_total",
        counter("media", Role.EVALUATOR, "Media that left, since no row refers to them any more."),
    )

    # the front door
    INGEST_EVENTS = (
        "spanfold_ingest_events_total",
        counter("events", _INGEST, "Events: accepted, rejected (4xx) or failed (5xx).", "route", "outcome"),
    )
    INGEST_REQUESTS = (
        "spanfold_ingest_requests_total",
        counter("requests", _INGEST, "Requests by the status of their answer.", "route", "status"),
    )
    INGEST_SECONDS = (
        "spanfold_ingest_request_seconds",
        histogram("seconds", SHORT, _INGEST, "From the first byte of a request to its answer.", "route"),
    )
    INGEST_HELD_BYTES = (
        "spanfold_ingest_held_bytes",
        gauge("bytes", _INGEST, "Bodies of requests that are not answered yet."),
    )
    INGEST_UPLOADS = (
        "spanfold_ingest_media_uploads_total",
        counter("uploads", _INGEST, "Uploads of media, as clients report them.", outcome=("ok", "failed")),
    )
    INGEST_OVERFLOW = (
        "spanfold_ingest_overflow_events_total",
        counter("events", _INGEST, "Events of projects above their share, sent to the overflow topic."),
    )
    INGEST_LAG = (
        "spanfold_ingest_lag_events",
        gauge("events", _INGEST, "How far workers are behind; stays 0 where SPANFOLD_MAX_LAG sets no limit."),
    )
    INGEST_OVERFLOW_LAG = (
        "spanfold_ingest_overflow_lag_events",
        gauge("events", _INGEST, "How many events wait in the overflow; stays 0 where SPANFOLD_MAX_LAG sets no limit."),
    )
