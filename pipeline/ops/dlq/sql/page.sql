-- Dead letters without their bytes, those that failed first first, after the last one of the page before.
SELECT
    id, project_id, reason, stage, detail, state, state_at, attempts, first_failed_at, failed_at, replay_of,
    code_version, topic, partition, offset, timestamp, replays, bytes AS size
FROM dead_letters
WHERE {chosen}
    AND (failed_at, topic, partition, offset, timestamp)
        > (fromUnixTimestamp64Micro(%(failed_at)s, 'UTC'), %(topic)s, %(partition)s, %(offset)s, fromUnixTimestamp64Micro(%(timestamp)s, 'UTC'))
ORDER BY failed_at, topic, partition, offset, timestamp
LIMIT %(limit)s
