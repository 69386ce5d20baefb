-- Every version of every trace; the view `traces` shows the newest one.
-- The key is identity that never changes. The partition follows from the key, so versions of one row always meet.
CREATE TABLE IF NOT EXISTS {database}.traces_rows {on_cluster}
(
    project_id LowCardinality(String),
    trace_id String,
    name LowCardinality(String),
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    environment LowCardinality(String),
    release LowCardinality(String),
    version LowCardinality(String),
    tags Array(LowCardinality(String)) CODEC(ZSTD(1)),
    public Bool,
    metadata Map(LowCardinality(String), String) CODEC(ZSTD(1)),         -- top-level keys; values as text or JSON
    input String CODEC(ZSTD(3)),
    output String CODEC(ZSTD(3)),
    start_time DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end_time Nullable(DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    latency_ms Nullable(Float64) CODEC(ZSTD(1)),                         -- milliseconds
    level LowCardinality(String),                                        -- DEBUG, DEFAULT, WARNING or ERROR
    status LowCardinality(String),                                       -- SUCCESS, ERROR or RUNNING
    error_count UInt64 CODEC(T64, ZSTD(1)),                              -- observations of level ERROR
    observation_count UInt64 CODEC(T64, ZSTD(1)),
    usage Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),            -- tokens by kind, disjoint, and `total`
    total_tokens UInt64 CODEC(T64, ZSTD(1)),
    cost Map(LowCardinality(String), Decimal(18, 12)) CODEC(ZSTD(1)),    -- USD by kind
    total_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),                 -- USD; NULL where unknown, never 0
    root_observation_id String CODEC(ZSTD(1)),                           -- '' until it is known
    settled Bool,                                                        -- false while more events are expected
    flags Array(LowCardinality(String)) CODEC(ZSTD(1)),                  -- what was odd about it
    first_seen DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- never changes: first log time of the trace
    updated_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- when this version was made
    row_version UInt64 CODEC(ZSTD(1)),                                   -- more events, greater version; it wins
    is_deleted UInt8,                                                    -- 1: this key no longer exists
    expires_at DateTime('UTC') DEFAULT toDateTime('2105-12-31', 'UTC') CODEC(Delta(4), ZSTD(1)), -- i.e. for ever

    INDEX by_trace_id trace_id TYPE bloom_filter(0.01),
    INDEX by_start_time start_time TYPE minmax,
    INDEX by_name name TYPE bloom_filter(0.01),
    INDEX by_user_id user_id TYPE bloom_filter(0.01),
    INDEX by_session_id session_id TYPE bloom_filter(0.01),
    INDEX by_tags tags TYPE bloom_filter(0.01),
    INDEX by_metadata_keys mapKeys(metadata) TYPE bloom_filter(0.01),
    INDEX by_input input TYPE tokenbf_v1(32768, 3, 0),
    INDEX by_output output TYPE tokenbf_v1(32768, 3, 0)
)
ENGINE = {replicated}ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toYYYYMMDD(first_seen)
ORDER BY (project_id, toStartOfHour(first_seen), trace_id)
TTL expires_at
SETTINGS
    non_replicated_deduplication_window = 1000,   -- an insert that is sent again leaves no second part
    min_age_to_force_merge_seconds = 3600,        -- a day that is over becomes one part, for which FINAL is free
    min_age_to_force_merge_on_partition_only = 1
