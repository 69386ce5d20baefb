-- Offsets of one partition whose records became one thing (stored, moved) and the archive has nothing of, in one minute of a project.
WITH told AS
(
    SELECT *
    FROM offset_ranges FINAL
    WHERE topic = %(topic)s AND partition = %(partition)s AND has(projects, %(project)s)
        AND has(minutes, toDateTime64(%(second)s, 6, 'UTC'))
)
SELECT offset
FROM
(
    SELECT
        record.1 AS offset,
        argMax((projects[record.2], minutes[record.2], outcomes[record.2]), (stored_at, first)) AS newest
    FROM told
    ARRAY JOIN arrayZip(
        if(empty(offsets), range(first, last + 1), offsets) AS these,
        if(empty(places), arrayResize([toUInt16(1)], length(these), toUInt16(1)), arrayMap(place -> place + 1, places))
    ) AS record
    GROUP BY offset
)
WHERE newest = (%(project)s, toDateTime64(%(second)s, 6, 'UTC'), %(outcome)s)
    AND offset NOT IN
    (
        SELECT offset
        FROM raw_events
        WHERE topic = %(topic)s AND partition = %(partition)s AND timestamp >= toDateTime64(%(second)s, 6, 'UTC')
            AND timestamp < toDateTime64(%(second)s + 60, 6, 'UTC')
    )
ORDER BY offset
LIMIT 10000
