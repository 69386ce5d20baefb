-- Records that could not be processed, with their original bytes. Read the view `dead_letters`.
-- A letter may come more than once (a worker died between sending it and its commit): the newest failure stays.
CREATE TABLE IF NOT EXISTS {database}.dead_letters_rows {on_cluster}
(
    topic LowCardinality(String),                 -- where the record came from: topic, partition, offset ...
    partition UInt32,
    offset UInt64,
    timestamp DateTime64(6, 'UTC'),               -- ... and when the log took it: a topic that was made anew counts from 0
    project_id LowCardinality(String),            -- as its header or key tells; '' where neither does
    reason LowCardinality(String),
    stage LowCardinality(String),                 -- decode, store, evaluate, table
    detail String CODEC(ZSTD(3)),
    key Nullable(String),
    value Nullable(String) CODEC(ZSTD(3)),        -- the original bytes; NULL where the record had none
    bytes UInt64 MATERIALIZED ifNull(length(value), 0),  -- so that a list need not read the values
    header_names Array(String),
    header_values Array(Nullable(String)),
    attempts UInt32,                              -- how often it was tried
    first_failed_at DateTime64(6, 'UTC'),
    failed_at DateTime64(6, 'UTC'),               -- the last time
    replay_of String,                             -- id of the letter that this record was a replay of
    code_version LowCardinality(String),
    expires_at DateTime('UTC') DEFAULT toDateTime(failed_at, 'UTC') + INTERVAL 90 DAY,

    INDEX by_project project_id TYPE set(100),
    INDEX by_failed_at failed_at TYPE minmax
)
ENGINE = {replicated}ReplacingMergeTree(failed_at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (topic, partition, offset, timestamp)
TTL expires_at
SETTINGS
    index_granularity = 1024,                     -- values may be megabytes
    non_replicated_deduplication_window = 1000    -- an insert that is sent again leaves no second part
