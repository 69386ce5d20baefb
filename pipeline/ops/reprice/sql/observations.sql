-- What pricing needs of every observation of the traces of one piece, trace by trace. No texts.
SELECT
    trace_id, observation_id, arrayElement(path, -2) AS parent, depth,
    toUnixTimestamp64Micro(start_time) AS started, model, model_parameters,
    mapFilter((key, value) -> has(%(context)s, key), metadata) AS context,
    usage, usage_provided, usage_source, usage_rule, cost, total_cost, cost_source, price_id, priced_model, flags,
    subtree_cost, subtree_tokens, row_version
FROM observations_rows FINAL
WHERE project_id = %(project_id)s
    AND first_seen >= toDateTime64(%(hour)s, 6, 'UTC') AND first_seen < toDateTime64(%(hour)s + 3600, 6, 'UTC')
    AND cityHash64(trace_id) %% %(buckets)s = %(bucket)s
    AND trace_id IN
    (
        SELECT trace_id
        FROM observations_rows
        WHERE project_id = %(project_id)s
            AND first_seen >= toDateTime64(%(hour)s, 6, 'UTC') AND first_seen < toDateTime64(%(hour)s + 3600, 6, 'UTC')
            AND cityHash64(trace_id) %% %(buckets)s = %(bucket)s
            AND start_time >= toDateTime64(%(start)s, 6, 'UTC') AND start_time < toDateTime64(%(until)s, 6, 'UTC')
            AND (%(model)s = '' OR model = %(model)s OR priced_model = %(model)s)
            AND model != ''
    )
ORDER BY trace_id, observation_id
SETTINGS do_not_merge_across_partitions_select_final = 1
