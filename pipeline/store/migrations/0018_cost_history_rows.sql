-- What an observation cost before it was priced again, and what it has cost since; the view `cost_history` reads it.
-- A run that was broken off and repeated writes the same key again.
CREATE TABLE IF NOT EXISTS {database}.cost_history_rows {on_cluster}
(
    project_id LowCardinality(String),
    trace_id String,
    observation_id String CODEC(ZSTD(1)),
    start_time DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),            -- of the observation: what selects its price
    model LowCardinality(String),
    old_cost Map(LowCardinality(String), Decimal(18, 12)) CODEC(ZSTD(1)),  -- USD by kind
    new_cost Map(LowCardinality(String), Decimal(18, 12)) CODEC(ZSTD(1)),
    old_total_cost Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),             -- USD; NULL where it was unknown
    new_total_cost Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    old_price_id LowCardinality(String),
    new_price_id LowCardinality(String),
    epoch UInt32 CODEC(T64, ZSTD(1)),                                    -- number of the new price book
    reason LowCardinality(String),                                       -- what whoever asked for it wrote
    repriced_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    old_version UInt64 CODEC(ZSTD(1)),                                   -- row_version of the row that was replaced
    new_version UInt64 CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(repriced_at)
ORDER BY (project_id, trace_id, observation_id, new_version)
