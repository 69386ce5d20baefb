-- What some observations cost as they stand, before they are made anew.
SELECT
    project_id, trace_id, observation_id, toUnixTimestamp64Micro(start_time) AS started, model, cost, total_cost,
    price_id, row_version
FROM observations_rows FINAL
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s {only}
SETTINGS do_not_merge_across_partitions_select_final = 1
