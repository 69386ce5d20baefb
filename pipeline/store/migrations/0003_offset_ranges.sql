-- The ledger: one row for each stored chunk of a partition. The union of [first, last] covers every committed offset.
CREATE TABLE IF NOT EXISTS {database}.offset_ranges {on_cluster}
(
    topic LowCardinality(String),
    partition UInt32,
    first UInt64 CODEC(Delta(8), ZSTD(1)),
    last UInt64 CODEC(Delta(8), ZSTD(1)),
    records UInt64 CODEC(T64, ZSTD(1)),
    events UInt64 CODEC(T64, ZSTD(1)),
    new UInt64 CODEC(T64, ZSTD(1)),
    duplicate UInt64 CODEC(T64, ZSTD(1)),
    rejected UInt64 CODEC(T64, ZSTD(1)),
    stored_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    expires_at DateTime('UTC') DEFAULT toDateTime(stored_at, 'UTC') + INTERVAL 400 DAY CODEC(Delta(4), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (topic, partition, first, last)
TTL expires_at
SETTINGS non_replicated_deduplication_window = 1000
