-- How many records of some minutes of the log the archive has events of.
SELECT
    project_id, toUnixTimestamp(toStartOfMinute(timestamp)) AS second, partition, groupBitmap(offset) AS records
FROM raw_events
WHERE topic = %(topic)s
    AND timestamp >= toDateTime64(%(start)s, 6, 'UTC') AND timestamp < toDateTime64(%(until)s, 6, 'UTC')
    AND (%(project)s = '' OR project_id = %(project)s)
GROUP BY project_id, second, partition
