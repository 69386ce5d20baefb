-- One row for each session, summed over the newest versions of its traces: right at any moment, before any merge.
-- A trace that moves to another session takes its sums along.
CREATE VIEW IF NOT EXISTS {database}.sessions {on_cluster}
(
    project_id LowCardinality(String),
    session_id String,
    users UInt64 COMMENT 'different user ids, traces without one do not count',
    traces UInt64,
    observations UInt64,
    total_tokens UInt64,
    total_cost Nullable(Decimal(38, 12)) COMMENT 'USD, NULL where no cost is known, never 0',
    error_traces UInt64 COMMENT 'traces with at least one observation of level ERROR',
    error_share Float64 COMMENT 'error_traces / traces, 0 to 1',
    running_traces UInt64 COMMENT 'traces of which something has not ended',
    first_seen DateTime64(6, 'UTC') COMMENT 'event time: the earliest start of a trace',
    last_seen DateTime64(6, 'UTC') COMMENT 'event time: the latest end of a trace, or start where that is later'
)
AS SELECT
    project_id, session_id, uniqExactIf(user_id, user_id != '') AS users, count() AS traces,
    sum(trace.observation_count) AS observations, sum(trace.total_tokens) AS total_tokens,
    sum(trace.total_cost) AS total_cost, countIf(trace.error_count > 0) AS error_traces,
    error_traces / traces AS error_share, countIf(status = 'RUNNING') AS running_traces,
    min(start_time) AS first_seen, max(greatest(start_time, ifNull(end_time, start_time))) AS last_seen
FROM {database}.traces AS trace
WHERE session_id != ''
GROUP BY project_id, session_id
