-- How many records of some minutes of the log are among the dead letters because they could not be decoded, or not be sent on.
SELECT
    project_id, toUnixTimestamp(toStartOfMinute(timestamp)) AS second, partition, groupBitmap(offset) AS records
FROM dead_letters_rows
WHERE topic = %(topic)s AND stage IN ('decode', 'move')
    AND timestamp >= toDateTime64(%(start)s, 6, 'UTC') AND timestamp < toDateTime64(%(until)s, 6, 'UTC')
    AND (%(project)s = '' OR project_id = %(project)s)
GROUP BY project_id, second, partition
