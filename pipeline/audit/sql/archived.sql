-- How many distinct events of some traces are archived, and how many of them lie in no stored chunk: above the end of what
-- is stored of their partition, or in a hole. Those are in flight, their rows may not be written yet.
SELECT
    project_id, trace_id, uniqExact(event_id, identity) AS events,
    countIf(
        topic = %(topic)s AND (
            offset >= transform(toUInt64(partition), %(partitions)s, %(ends)s, toUInt64(0))
            OR arrayExists(
                (number, first, last) -> number = partition AND offset >= first AND offset <= last,
                %(numbers)s, %(firsts)s, %(lasts)s)
        )
    ) AS in_flight
FROM raw_events
WHERE (project_id, trace_id) IN %(keys)s
GROUP BY project_id, trace_id
