-- The event of each of these traces that was archived first.
SELECT
    project_id, trace_id, event_id, identity, kind, entity_id, content_type, value, receiver, received_at,
    topic, partition, offset, position, timestamp, first_seen
FROM raw_events
WHERE (project_id, trace_id) IN %(keys)s
ORDER BY project_id, trace_id, timestamp, topic, partition, offset, position
LIMIT 1 BY project_id, trace_id
