-- The dead letters that failed last, without their bytes.
SELECT
    id, project_id, reason, stage, detail, state, state_at, attempts, first_failed_at, failed_at, replay_of,
    code_version, topic, partition, offset, timestamp, replays, bytes AS size
FROM dead_letters
WHERE {chosen}
ORDER BY failed_at DESC, topic, partition, offset, timestamp
LIMIT %(limit)s
