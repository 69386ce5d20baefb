-- The next traces, in the order of the archive's key, that have an event in the time range; of each how many distinct
-- events it has and the bytes of all.
SELECT
    project_id, trace_id, toUnixTimestamp64Micro(min(first_seen)) AS first_seen_at, uniqExact(identity) AS events,
    sum(length(value)) AS bytes
FROM raw_events
WHERE project_id >= %(after_project)s AND (project_id > %(after_project)s OR trace_id > %(after_trace)s)
    AND first_seen < toDateTime64(%(until)s, 6, 'UTC') {only}
GROUP BY project_id, trace_id
HAVING countIf(timestamp >= toDateTime64(%(start)s, 6, 'UTC') AND timestamp < toDateTime64(%(until)s, 6, 'UTC')) > 0
ORDER BY project_id, trace_id
LIMIT %(limit)s
SETTINGS optimize_aggregation_in_order = 1
