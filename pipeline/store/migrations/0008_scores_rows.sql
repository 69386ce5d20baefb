-- Every version of every score; the view `scores` shows the newest one.
-- The key is identity that never changes. The partition follows from the key, so versions of one row always meet.
CREATE TABLE IF NOT EXISTS {database}.scores_rows {on_cluster}
(
    project_id LowCardinality(String),
    score_id String CODEC(ZSTD(1)),
    trace_id String,
    observation_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    dataset_run_id String CODEC(ZSTD(1)),
    name LowCardinality(String),
    data_type LowCardinality(String),                               -- NUMERIC, CATEGORICAL, BOOLEAN, TEXT, CORRECTION
    value Nullable(Float64) CODEC(ZSTD(1)),
    string_value String CODEC(ZSTD(1)),
    comment String CODEC(ZSTD(1)),
    source LowCardinality(String),                                       -- API, EVAL or ANNOTATION
    evaluator LowCardinality(String),
    environment LowCardinality(String),
    metadata Map(LowCardinality(String), String) CODEC(ZSTD(1)),         -- top-level keys; values as text or JSON
    at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),                    -- event time
    first_seen DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- never changes: first log time of the trace
    updated_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- when this version was made
    row_version UInt64 CODEC(ZSTD(1)),                                   -- more events, greater version; it wins
    is_deleted UInt8,                                                    -- 1: this key no longer exists
    expires_at DateTime('UTC') DEFAULT toDateTime('2105-12-31', 'UTC') CODEC(Delta(4), ZSTD(1)), -- i.e. for ever

    INDEX by_trace_id trace_id TYPE bloom_filter(0.01),
    INDEX by_observation_id observation_id TYPE bloom_filter(0.01),
    INDEX by_session_id session_id TYPE bloom_filter(0.01),
    INDEX by_score_id score_id TYPE bloom_filter(0.01),
    INDEX by_at at TYPE minmax,
    INDEX by_name name TYPE bloom_filter(0.01)
)
ENGINE = {replicated}ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toYYYYMMDD(first_seen)
ORDER BY (project_id, toStartOfHour(first_seen), trace_id, score_id)
TTL expires_at
SETTINGS
    non_replicated_deduplication_window = 1000,   -- an insert that is sent again leaves no second part
    min_age_to_force_merge_seconds = 3600,        -- a day that is over becomes one part, for which FINAL is free
    min_age_to_force_merge_on_partition_only = 1
