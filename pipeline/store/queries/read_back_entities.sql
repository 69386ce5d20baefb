-- The distinct events of some entities (kind and id) of some traces, each as it was archived first.
SELECT
    project_id, trace_id, event_id, identity, kind, entity_id, content_type, value, receiver, received_at,
    topic, partition, offset, position, timestamp, first_seen
FROM raw_events
WHERE (project_id, trace_id) IN %(keys)s AND (kind, entity_id) IN %(entities)s
ORDER BY project_id, trace_id, kind, entity_id, event_id, identity, timestamp, topic, partition, offset, position
LIMIT 1 BY project_id, trace_id, event_id, identity
