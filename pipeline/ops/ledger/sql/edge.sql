-- What front doors have accepted in some minutes of the log, by project, minute and partition, and between which offsets.
SELECT
    each.1 AS project_id, toUnixTimestamp(each.2) AS second, each.3 AS partition, sum(each.4) AS records,
    min(each.5) AS first, max(each.6) AS last
FROM
(
    SELECT arrayJoin(arrayZip(projects, minutes, partitions, records, firsts, lasts)) AS each
    FROM edge_counts FINAL
    WHERE topic = %(topic)s AND published_at >= toDateTime64(%(start)s, 6, 'UTC') - INTERVAL 1 HOUR   -- two clocks
        AND published_at < toDateTime64(%(until)s, 6, 'UTC') + INTERVAL 1 DAY   -- Kafka may have taken nothing for a while
)
WHERE each.2 >= toDateTime64(%(start)s, 6, 'UTC') AND each.2 < toDateTime64(%(until)s, 6, 'UTC')
    AND (%(project)s = '' OR project_id = %(project)s)
GROUP BY project_id, second, partition
