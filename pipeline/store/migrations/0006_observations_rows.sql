-- Every version of every observation; the view `observations` shows the newest one.
-- The key is identity that never changes. The partition follows from the key, so versions of one row always meet.
CREATE TABLE IF NOT EXISTS {database}.observations_rows {on_cluster}
(
    project_id LowCardinality(String),
    trace_id String,
    observation_id String CODEC(ZSTD(1)),
    parent_observation_id String CODEC(ZSTD(1)),                         -- '' for a root
    type LowCardinality(String),                                         -- GENERATION, SPAN, EVENT, ...
    name LowCardinality(String),
    start_time DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end_time Nullable(DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    completion_start_time Nullable(DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    latency_ms Nullable(Float64) CODEC(ZSTD(1)),                         -- milliseconds
    time_to_first_token_ms Nullable(Float64) CODEC(ZSTD(1)),
    level LowCardinality(String),                                        -- DEBUG, DEFAULT, WARNING or ERROR
    status_message String CODEC(ZSTD(1)),
    version LowCardinality(String),
    environment LowCardinality(String),
    model LowCardinality(String),
    priced_model LowCardinality(String),                                 -- the price book's name of the model
    model_parameters String CODEC(ZSTD(1)),                              -- compact JSON
    input String CODEC(ZSTD(3)),
    output String CODEC(ZSTD(3)),
    metadata Map(LowCardinality(String), String) CODEC(ZSTD(1)),         -- top-level keys; values as text or JSON
    usage Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),            -- tokens by kind, disjoint, and `total`
    usage_provided Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),   -- what the client sent, verbatim
    usage_source LowCardinality(String),                                 -- provided, estimated or none
    cost Map(LowCardinality(String), Decimal(18, 12)) CODEC(ZSTD(1)),    -- USD by kind
    total_cost Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),                 -- USD; NULL where unknown, never 0
    cost_source LowCardinality(String),                                  -- provided, computed or none
    price_id LowCardinality(String),                                     -- which price was used
    prompt_name LowCardinality(String),
    prompt_version Nullable(UInt32) CODEC(T64, ZSTD(1)),
    tool_calls Array(String) CODEC(ZSTD(1)),
    depth UInt32 CODEC(T64, ZSTD(1)),                                    -- 0 is the root
    path Array(String) CODEC(ZSTD(1)),                                   -- ids from the root, its own last; of a deep one the last 100
    child_count UInt32 CODEC(T64, ZSTD(1)),                              -- direct children
    subtree_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),               -- USD, with everything below
    subtree_tokens UInt64 CODEC(T64, ZSTD(1)),                           -- with everything below
    orphan Bool,                                                         -- its parent has not arrived
    flags Array(LowCardinality(String)) CODEC(ZSTD(1)),                  -- what was odd about it
    trace_name LowCardinality(String),                                   -- of the trace, like the four columns below
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    tags Array(LowCardinality(String)) CODEC(ZSTD(1)),
    release LowCardinality(String),
    first_seen DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- never changes: first log time of the trace
    updated_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- when this version was made
    row_version UInt64 CODEC(ZSTD(1)),                                   -- more events, greater version; it wins
    is_deleted UInt8,                                                    -- 1: this key no longer exists
    expires_at DateTime('UTC') DEFAULT toDateTime('2105-12-31', 'UTC') CODEC(Delta(4), ZSTD(1)), -- i.e. for ever

    INDEX by_trace_id trace_id TYPE bloom_filter(0.01),
    INDEX by_observation_id observation_id TYPE bloom_filter(0.01),
    INDEX by_start_time start_time TYPE minmax,
    INDEX by_name name TYPE bloom_filter(0.01),
    INDEX by_model model TYPE set(100),
    INDEX by_user_id user_id TYPE bloom_filter(0.01),
    INDEX by_session_id session_id TYPE bloom_filter(0.01),
    INDEX by_tags tags TYPE bloom_filter(0.01),
    INDEX by_metadata_keys mapKeys(metadata) TYPE bloom_filter(0.01),
    INDEX by_input input TYPE tokenbf_v1(32768, 3, 0),
    INDEX by_output output TYPE tokenbf_v1(32768, 3, 0)
)
ENGINE = {replicated}ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toYYYYMMDD(first_seen)
ORDER BY (project_id, toStartOfHour(first_seen), trace_id, observation_id)
TTL expires_at
SETTINGS
    non_replicated_deduplication_window = 1000,   -- an insert that is sent again leaves no second part
    min_age_to_force_merge_seconds = 3600,        -- a day that is over becomes one part, for which FINAL is free
    min_age_to_force_merge_on_partition_only = 1
