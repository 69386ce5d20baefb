-- Cost and units by kind of usage: fresh and cached input, output, reasoning, requests. The kinds of a call do not
-- overlap, so sums over any of the columns count every dollar once. What a client gave as a total alone is `unsplit`.
-- A wrapper that repeats its child's usage is left out, as it is in the totals of its trace.
CREATE OR REPLACE VIEW {database}.cost_by_kind {on_cluster} AS
SELECT
    project_id, toDate(start_time) AS day, kind, model, priced_model, trace_name, environment, prompt_name,
    prompt_version, count() AS calls, sum(usage[kind]) AS units, sum(amount) AS total_cost
FROM
(
    SELECT
        *,
        arraySum(mapValues(mapFilter((key, value) -> key != 'total', cost))) AS parts,
        mapConcat(
            mapFilter((key, value) -> key != 'total', cost),
            if(ifNull(total_cost, parts) = parts, map(),
               map(toLowCardinality('unsplit'), CAST(ifNull(total_cost, parts) - parts, 'Decimal(18, 12)')))
        ) AS by_kind
    FROM {database}.observations
    WHERE total_cost IS NOT NULL AND NOT has(flags, 'duplicate_usage')
)
ARRAY JOIN mapKeys(by_kind) AS kind, mapValues(by_kind) AS amount
GROUP BY project_id, day, kind, model, priced_model, trace_name, environment, prompt_name, prompt_version
