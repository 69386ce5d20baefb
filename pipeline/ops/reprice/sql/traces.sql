-- What the traces of one piece sum up to now.
SELECT trace_id, usage, cost, total_cost, row_version
FROM traces_rows FINAL
WHERE project_id = %(project_id)s
    AND first_seen >= toDateTime64(%(hour)s, 6, 'UTC') AND first_seen < toDateTime64(%(hour)s + 3600, 6, 'UTC')
    AND cityHash64(trace_id) %% %(buckets)s = %(bucket)s
SETTINGS do_not_merge_across_partitions_select_final = 1
