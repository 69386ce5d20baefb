-- What was done about a dead letter: the newest row counts, and one without a row is open.
-- Apart from the letters, so that neither a letter that comes again nor a long value is touched by a mark.
CREATE TABLE IF NOT EXISTS {database}.dead_letter_states {on_cluster}
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    timestamp DateTime64(6, 'UTC'),
    state LowCardinality(String),                 -- open, replayed or discarded
    state_at DateTime64(6, 'UTC'),
    replays UInt32,                               -- how often it was replayed
    note String,
    expires_at DateTime('UTC') DEFAULT toDateTime(state_at, 'UTC') + INTERVAL 90 DAY
)
ENGINE = {replicated}ReplacingMergeTree(state_at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (topic, partition, offset, timestamp)
TTL expires_at
SETTINGS non_replicated_deduplication_window = 1000
