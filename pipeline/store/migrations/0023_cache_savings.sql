-- What cached tokens saved: their number times (price of a fresh token - price of a cached one), by day and model.
-- The price of a fresh token is that of the same call; of a call without fresh tokens, that of other calls under the
-- same price. Where neither is known the call is counted in `calls_without_fresh_price` and saves nothing here.
CREATE OR REPLACE VIEW {database}.cache_savings {on_cluster} AS
SELECT
    project_id, toDate(start_time) AS day, model, priced_model, trace_name, count() AS calls,
    countIf(fresh_tokens = 0) AS calls_without_fresh_price, sum(cached_tokens) AS cached, sum(paid) AS cached_cost,
    sum(if(fresh_tokens = 0, paid, divideDecimal(multiplyDecimal(toDecimal256(cached_tokens, 0), fresh_cost, 12),
                                                 toDecimal256(fresh_tokens, 0), 12))) AS fresh_cost_instead,
    fresh_cost_instead - cached_cost AS saved
FROM
(
    SELECT
        call.project_id AS project_id, start_time, model, priced_model, trace_name,
        usage['input_cached'] AS cached_tokens, toDecimal256(cost['input_cached'], 12) AS paid,
        if(usage['input'] > 0, usage['input'], other.tokens) AS fresh_tokens,
        toDecimal256(if(usage['input'] > 0, cost['input'], other.amount), 12) AS fresh_cost
    FROM {database}.observations AS call
    LEFT JOIN
    (
        SELECT project_id, price_id, argMax(usage['input'], usage['input']) AS tokens,
               argMax(cost['input'], usage['input']) AS amount
        FROM {database}.observations
        WHERE cost_source = 'computed' AND usage['input'] > 0
        GROUP BY project_id, price_id
    ) AS other ON call.project_id = other.project_id AND call.price_id = other.price_id
    WHERE cost_source = 'computed' AND usage['input_cached'] > 0 AND NOT has(flags, 'duplicate_usage')
)
GROUP BY project_id, day, model, priced_model, trace_name
