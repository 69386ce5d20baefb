-- Traces with rows under more than one hour of first_seen: two keys, so they show twice.
SELECT project_id, trace_id
FROM traces_rows FINAL
WHERE first_seen >= toDateTime64(%(start)s, 6, 'UTC') AND first_seen < toDateTime64(%(until)s, 6, 'UTC')
    AND (%(project)s = '' OR project_id = %(project)s)
    AND cityHash64(trace_id) %% %(buckets)s = %(bucket)s
GROUP BY project_id, trace_id
HAVING uniqExact(toStartOfHour(first_seen)) > 1
ORDER BY project_id, trace_id
LIMIT %(most)s
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 1000000000
