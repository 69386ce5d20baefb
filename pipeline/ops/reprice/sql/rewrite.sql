-- The rows of one piece as they stand, with their new values. A row that has another version by now is left alone.
INSERT INTO {table} ({columns})
SELECT {chosen}
FROM
(
    SELECT *
    FROM {table} FINAL
    WHERE project_id = %(project_id)s
        AND first_seen >= toDateTime64(%(hour)s, 6, 'UTC') AND first_seen < toDateTime64(%(hour)s + 3600, 6, 'UTC')
        AND trace_id IN (SELECT trace_id FROM reprice_values WHERE run = %(run)s AND piece = %(piece)s)
) AS o
INNER JOIN
(
    SELECT *
    FROM reprice_values FINAL
    WHERE run = %(run)s AND piece = %(piece)s AND observation_id {observation_is} ''
) AS s ON {joined}
WHERE o.row_version = s.old_version
SETTINGS do_not_merge_across_partitions_select_final = 1
