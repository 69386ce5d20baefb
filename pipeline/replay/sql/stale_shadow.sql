-- Into the shadow: what takes back the live rows of its traces that it does not have. A row of the new epoch is a
-- worker's, made meanwhile from more events, and stays.
INSERT INTO {shadow}.{table} ({columns})
SELECT {chosen}
FROM {table} FINAL
WHERE {piece} AND row_version < %(epoch)s * 1099511627776
    AND {group} IN (SELECT {group} FROM {shadow}.{of} WHERE {piece})
    AND ({key}) NOT IN (SELECT {key} FROM {shadow}.{table} WHERE {piece})
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0
