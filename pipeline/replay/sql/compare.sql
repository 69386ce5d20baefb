-- One piece of a table and its shadow, row by row: a hash for each column. Of the live rows those that belong to traces
-- the shadow has. `differs` counts by column, `examples` names for each column a row that differs in it.
SELECT
    countIf(live AND shadow AND was = now) AS equal,
    countIf(live AND shadow AND was != now) AS changed,
    countIf(live AND NOT shadow) AS only_live,
    countIf(shadow AND NOT live) AS only_shadow,
    sumForEachIf(arrayMap((a, b) -> toUInt64(a != b), was, now), live AND shadow) AS differs,
    maxForEachIf(arrayMap((a, b) -> if(a != b, row_id, ''), was, now), live AND shadow) AS examples,
    groupArrayIf(3)(row_id, live AND NOT shadow) AS live_examples,
    groupArrayIf(3)(row_id, shadow AND NOT live) AS shadow_examples
FROM
(
    SELECT
        row_id, max(side = 0) AS live, max(side = 1) AS shadow, anyIf(hashes, side = 1) AS now,
        if(live AND shadow, anyIf(hashes, side = 0), now) AS was  -- of the same length in any case
    FROM
    (
        SELECT 0 AS side, {row_id} AS row_id, [{hashes}] AS hashes
        FROM {table} FINAL
        WHERE {piece} AND {group} IN (SELECT {group} FROM {shadow}.{of} WHERE {piece})
        UNION ALL
        SELECT 1 AS side, {row_id} AS row_id, [{hashes}] AS hashes
        FROM {shadow}.{table} FINAL
        WHERE {piece}
    )
    GROUP BY row_id
)
SETTINGS do_not_merge_across_partitions_select_final = 1
