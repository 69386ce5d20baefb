-- Takes back the rows of traces made anew that were not made again: the code of today makes no such row of their events.
INSERT INTO {table} ({columns})
SELECT {chosen}
FROM {table} FINAL
WHERE toStartOfHour(first_seen) IN %(hours)s AND trace_id IN %(ids)s AND (project_id, {trace}) IN %(keys)s
    AND row_version < %(epoch)s * 1099511627776
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0
