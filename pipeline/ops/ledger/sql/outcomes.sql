-- What became of the records of some chunks (of those that the log took in some minutes, or of those that were moved), by project, minute, partition, route and outcome; and
-- when the last of them was stored. A chunk that overlaps none tells sums. Of chunks that overlap each offset is
-- looked at by itself and counts once, as the chunk that was stored last says.
WITH
    told AS
    (
        SELECT *
        FROM offset_ranges FINAL
        WHERE topic = %(topic)s AND stored_at >= toDateTime64(%(start)s, 6, 'UTC') - INTERVAL 1 HOUR   -- two clocks
            AND ({within}) AND {chunks}
    ),
    overlapping AS
    (
        SELECT partition, first, last
        FROM
        (
            SELECT
                partition, first, last,
                max(last + 1) OVER (
                    PARTITION BY partition ORDER BY first, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS reached,
                leadInFrame(first, 1, 18446744073709551615) OVER (
                    PARTITION BY partition ORDER BY first, last
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS next
            FROM told
        )
        WHERE reached > first OR next <= last
    )
SELECT
    project_id, toUnixTimestamp(minute) AS second, partition, receiver, outcome, sum(amount) AS records,
    toUnixTimestamp64Micro(max(stored)) AS stored_last
FROM
(
    SELECT
        each.1 AS project_id, each.2 AS minute, partition, each.3 AS receiver, each.4 AS outcome, each.5 AS amount,
        stored_at AS stored
    FROM told
    ARRAY JOIN arrayZip(projects, minutes, receivers, outcomes, amounts) AS each
    WHERE (partition, first, last) NOT IN (SELECT * FROM overlapping)
    UNION ALL
    SELECT
        newest.1 AS project_id, newest.2 AS minute, partition, newest.3 AS receiver, newest.4 AS outcome,
        count() AS amount, max(stored) AS stored
    FROM
    (
        SELECT
            partition, record.1 AS offset, max(stored_at) AS stored,
            argMax((projects[record.2], minutes[record.2], receivers[record.2], outcomes[record.2]), (stored_at, first))
                AS newest
        FROM told
        ARRAY JOIN arrayZip(
            if(empty(offsets), range(first, last + 1), offsets) AS these,
            if(empty(places), arrayResize([toUInt16(1)], length(these), toUInt16(1)), arrayMap(place -> place + 1, places))
        ) AS record
        WHERE (partition, first, last) IN (SELECT * FROM overlapping)
        GROUP BY partition, offset
    )
    GROUP BY partition, newest
)
WHERE {chosen}
    AND (%(project)s = '' OR project_id = %(project)s)
GROUP BY project_id, minute, partition, receiver, outcome
