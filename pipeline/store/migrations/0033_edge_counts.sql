-- What front doors have accepted: records that Kafka acknowledged, by project, partition and minute of the log
-- (LogAppendTime, as the acknowledgement tells). One row for each publication of one front door, some seconds apart; the
-- arrays have an element for each (project, partition, minute). A row that comes again has the same key.
CREATE TABLE IF NOT EXISTS {database}.edge_counts {on_cluster}
(
    instance String,                              -- of the front door, made anew when it starts
    number UInt64 CODEC(Delta(8), ZSTD(1)),       -- of the publication, from 0
    published_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    topic LowCardinality(String),
    projects Array(LowCardinality(String)) CODEC(ZSTD(1)),
    partitions Array(UInt32) CODEC(ZSTD(1)),
    minutes Array(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    records Array(UInt64) CODEC(ZSTD(1)),
    firsts Array(UInt64) CODEC(ZSTD(1)),          -- smallest and greatest offset among them; others' lie in between
    lasts Array(UInt64) CODEC(ZSTD(1)),
    expires_at DateTime('UTC') DEFAULT toDateTime(published_at, 'UTC') + INTERVAL 400 DAY CODEC(Delta(4), ZSTD(1)),

    INDEX by_published_at published_at TYPE minmax
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (instance, number)
TTL expires_at
SETTINGS non_replicated_deduplication_window = 1000    -- an insert that is sent again leaves no second part
