-- The archive: every event as it came, written before any row that is made from it.
-- It serves late events, replays, re-pricing and audits. A redelivered event may be here twice until parts merge,
-- so read it with FINAL or count distinct identities.
CREATE TABLE IF NOT EXISTS {database}.raw_events {on_cluster}
(
    project_id LowCardinality(String),
    trace_id String,                              -- or session:ID, run:ID for scores that have no trace
    trace_hash UInt64 CODEC(NONE),                -- random bits: nothing to compress
    event_id String CODEC(ZSTD(1)),
    identity FixedString(16) CODEC(NONE),         -- equal exactly for the same event id with the same bytes
    kind LowCardinality(String),                  -- trace, observation or score
    entity_id String CODEC(ZSTD(1)),
    content_type LowCardinality(String),
    value String CODEC(ZSTD(3)),                  -- the original bytes
    receiver LowCardinality(String),              -- the route that took it in
    received_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    topic LowCardinality(String),
    partition UInt32 CODEC(T64, ZSTD(1)),
    offset UInt64 CODEC(Delta(8), ZSTD(1)),
    position UInt32 CODEC(T64, ZSTD(1)),          -- index of the event inside its record
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),   -- when the log took the record
    first_seen DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),  -- smallest timestamp of the trace
    expires_at DateTime('UTC') DEFAULT toDateTime(timestamp, 'UTC') + INTERVAL 90 DAY CODEC(Delta(4), ZSTD(1)),

    INDEX source (topic, partition, offset) TYPE minmax
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMMDD(first_seen)
ORDER BY (project_id, trace_id, event_id, identity)
TTL expires_at
SETTINGS
    index_granularity = 1024,                     -- one trace is a handful of rows: read little around it
    non_replicated_deduplication_window = 1000    -- an insert that is sent again leaves no second part
