-- What `spanfold reprice` has computed and is about to write: joined with the rows, so that texts never leave the store.
CREATE TABLE IF NOT EXISTS {database}.reprice_values {on_cluster}
(
    run String,
    piece UInt32,
    project_id String,
    trace_id String,
    observation_id String,                                               -- '' for the trace itself
    usage Map(LowCardinality(String), UInt64),
    usage_rule LowCardinality(String),
    cost Map(LowCardinality(String), Decimal(18, 12)),
    total_cost Nullable(Decimal(38, 12)),
    cost_source LowCardinality(String),
    price_id LowCardinality(String),
    priced_model LowCardinality(String),
    flags Array(LowCardinality(String)),
    subtree_cost Nullable(Decimal(38, 12)),
    subtree_tokens UInt64,
    old_version UInt64,
    new_version UInt64,
    expires_at DateTime('UTC') DEFAULT now('UTC') + INTERVAL 1 DAY
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (run, piece, project_id, trace_id, observation_id)
TTL expires_at
