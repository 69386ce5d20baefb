-- Calls, tokens and cost by day and tag. A call with several tags stands once under each of them, so only sums within
-- one tag mean something; for sums over all calls ask cost_by. Exact at any moment, like cost_by.
CREATE VIEW IF NOT EXISTS {database}.cost_by_tag {on_cluster}
(
    project_id LowCardinality(String),
    day Date COMMENT 'UTC, of the start of the call',
    tag String COMMENT 'a call counts once under each of its tags, under "" without any: do not sum over tags',
    model LowCardinality(String) COMMENT 'as the client named it',
    priced_model LowCardinality(String) COMMENT 'as the price book names it, empty where it does not know the model',
    trace_name LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    calls UInt64 COMMENT 'observations that name a model, used tokens or have a cost, wrappers that repeat a child left out',
    unpriced_calls UInt64 COMMENT 'calls whose cost is not known',
    total_tokens UInt64,
    total_cost Nullable(Decimal(38, 12)) COMMENT 'USD, NULL where no cost is known, never 0'
)
AS SELECT
    project_id, toDate(start_time) AS day, tag, model, priced_model, trace_name, environment, release,
    count() AS calls, countIf(call.total_cost IS NULL) AS unpriced_calls, sum(usage['total']) AS total_tokens,
    sum(call.total_cost) AS total_cost
FROM {database}.observations AS call
ARRAY JOIN if(empty(tags), [''], arrayDistinct(tags)) AS tag
WHERE (model != '' OR call.total_cost IS NOT NULL OR usage['total'] > 0) AND NOT has(flags, 'duplicate_usage')
GROUP BY project_id, day, tag, model, priced_model, trace_name, environment, release
