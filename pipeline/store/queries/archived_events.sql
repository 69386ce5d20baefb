-- A few archived events of one project, whichever come first: read little.
SELECT
    project_id, trace_id, event_id, identity, kind, entity_id, content_type, value, receiver, received_at,
    topic, partition, offset, position, timestamp, first_seen
FROM raw_events
WHERE project_id = %(project)s AND first_seen >= now() - toIntervalDay(%(days)s)
LIMIT %(limit)s
