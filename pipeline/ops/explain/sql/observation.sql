-- Everything that the cost of one observation was made from.
SELECT
    trace_id, observation_id, name, type, toUnixTimestamp64Micro(start_time) AS started, model, model_parameters,
    mapFilter((key, value) -> has(%(context)s, key), metadata) AS context,
    usage, usage_provided, usage_source, usage_rule, cost, total_cost, cost_source, price_id, priced_model, flags,
    row_version
FROM observations
WHERE project_id = %(project)s AND observation_id = %(observation)s
ORDER BY trace_id
LIMIT 2
