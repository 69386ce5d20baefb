-- How many observations of the traces that matter each project has in each hour of first_seen.
SELECT project_id, toUnixTimestamp(toStartOfHour(first_seen)) AS hour, count() AS observations
FROM observations_rows FINAL
WHERE start_time >= toDateTime64(%(start)s, 6, 'UTC') AND start_time < toDateTime64(%(until)s, 6, 'UTC')
    AND (%(project)s = '' OR project_id = %(project)s)
    AND (%(model)s = '' OR model = %(model)s OR priced_model = %(model)s)
    AND model != ''
GROUP BY project_id, hour
ORDER BY project_id, hour
SETTINGS do_not_merge_across_partitions_select_final = 1
