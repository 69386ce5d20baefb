-- The distinct events of some traces, entity by entity, each as it was archived first: by log position, so that the answer is the same
-- before and after a merge of copies from different offsets whenever it can be. Trace events come first: a tombstone
-- must be known before what it hides has been let go (fold/shed.py).
SELECT
    project_id, trace_id, event_id, identity, kind, entity_id, content_type, value, receiver, received_at,
    topic, partition, offset, position, timestamp, first_seen
FROM raw_events
WHERE (project_id, trace_id) IN %(keys)s
ORDER BY project_id, trace_id, kind DESC, entity_id, event_id, identity, timestamp, topic, partition, offset, position
LIMIT 1 BY project_id, trace_id, event_id, identity
