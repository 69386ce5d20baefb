-- Calls, tokens and cost by day and all that one splits a bill by. One row for each combination, so sums over any of
-- the columns count every call once; tags would not (a call has several) and have a view of their own, cost_by_tag.
-- A span that repeats the usage of a child (flag duplicate_usage) is left out, as in the totals of its trace.
-- It is computed from the newest versions when it is asked, so it is exact at any moment. A bounded `day` (and a
-- project) makes it read little: the condition reaches the index on start_time.
CREATE VIEW IF NOT EXISTS {database}.cost_by {on_cluster}
(
    project_id LowCardinality(String),
    day Date COMMENT 'UTC, of the start of the call',
    model LowCardinality(String) COMMENT 'as the client named it',
    priced_model LowCardinality(String) COMMENT 'as the price book names it, empty where it does not know the model',
    user_id String,
    session_id String,
    trace_name LowCardinality(String),
    environment LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version Nullable(UInt32),
    release LowCardinality(String),
    calls UInt64 COMMENT 'observations that name a model, used tokens or have a cost, wrappers that repeat a child left out',
    unpriced_calls UInt64 COMMENT 'calls whose cost is not known',
    total_tokens UInt64,
    total_cost Nullable(Decimal(38, 12)) COMMENT 'USD, NULL where no cost is known, never 0'
)
AS SELECT
    project_id, toDate(start_time) AS day, model, priced_model, user_id, session_id, trace_name, environment,
    prompt_name, prompt_version, release, count() AS calls, countIf(call.total_cost IS NULL) AS unpriced_calls,
    sum(usage['total']) AS total_tokens, sum(call.total_cost) AS total_cost
FROM {database}.observations AS call
WHERE (model != '' OR call.total_cost IS NOT NULL OR usage['total'] > 0) AND NOT has(flags, 'duplicate_usage')
GROUP BY
    project_id, day, model, priced_model, user_id, session_id, trace_name, environment, prompt_name, prompt_version,
    release
