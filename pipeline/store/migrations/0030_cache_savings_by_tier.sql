-- What cached tokens saved, as before; but a call without fresh tokens borrows the price of a fresh token from other calls
-- under the same price only where these agree about it: a price with tiers has several, and nobody knows which is meant.
-- Then the call is counted in `calls_without_fresh_price` and saves nothing here.
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
        multiIf(usage['input'] > 0, usage['input'], other.prices = 1, other.tokens, 0) AS fresh_tokens,
        toDecimal256(if(usage['input'] > 0, cost['input'], other.amount), 12) AS fresh_cost
    FROM {database}.observations AS call
    LEFT JOIN
    (
        SELECT project_id, price_id, argMax(usage['input'], usage['input']) AS tokens,
               argMax(cost['input'], usage['input']) AS amount,
               uniqExact(round(toFloat64(cost['input']) / usage['input'], 10)) AS prices  -- USD a token, by tier
        FROM {database}.observations
        WHERE cost_source = 'computed' AND usage['input'] > 0
        GROUP BY project_id, price_id
    ) AS other ON call.project_id = other.project_id AND call.price_id = other.price_id
    WHERE cost_source = 'computed' AND usage['input_cached'] > 0 AND NOT has(flags, 'duplicate_usage')
)
GROUP BY project_id, day, model, priced_model, trace_name
