-- For each partition of a topic: up to which offset chunks are stored, from which offset the ledger tells of it (its first
-- chunk ever), and the offsets between chunks that no chunk covers, in order. Chunks may overlap: a crash between writing
-- a chunk's row and committing it makes its records come again, differently cut.
WITH told AS
(
    SELECT
        partition, first, last,
        max(last + 1) OVER (PARTITION BY partition ORDER BY first, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            AS reached
    FROM
    (
        SELECT partition, first, last
        FROM offset_ranges
        WHERE topic = %(topic)s AND stored_at >= toDateTime64(%(start)s, 6, 'UTC') AND ({within})
        UNION ALL
        SELECT partition, min(first), max(last)    -- what lies further back is one chunk here
        FROM offset_ranges
        WHERE topic = %(topic)s AND stored_at < toDateTime64(%(start)s, 6, 'UTC') AND ({within})
        GROUP BY partition
    )
)
SELECT
    partition, min(first) AS begin, max(last) + 1 AS end,
    arraySort(groupArrayIf(100000)((reached, first - 1), reached < first AND reached > 0)) AS gaps
FROM told
GROUP BY partition
ORDER BY partition
