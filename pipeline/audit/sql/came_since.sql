-- From which minute of the log on records were stored since some moment, in Unix seconds, and how many partitions there are
-- of which any were. Each partition begins where it ended before: between two chunks with hours between them there may
-- have been minutes of which nothing came. What was stored more than eight days ago is older than the log.
SELECT toUnixTimestamp(min(if(earlier > 0, least(came, before), came))), count()
FROM
(
    SELECT
        partition, minIf(arrayMin(minutes), stored_at >= toDateTime64(%(moment)s, 6, 'UTC')) AS came,
        maxIf(arrayMax(minutes), stored_at < toDateTime64(%(moment)s, 6, 'UTC')) AS before,
        countIf(stored_at < toDateTime64(%(moment)s, 6, 'UTC')) AS earlier
    FROM offset_ranges
    WHERE topic = %(topic)s AND stored_at >= toDateTime64(%(moment)s, 6, 'UTC') - INTERVAL 8 DAY AND notEmpty(minutes)
    GROUP BY partition
    HAVING count() > earlier
)
