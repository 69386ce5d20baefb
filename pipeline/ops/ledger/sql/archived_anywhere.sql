-- Which of some events the archive has, from whatever offset.
SELECT DISTINCT project_id, trace_id, event_id, identity
FROM raw_events
WHERE (project_id, trace_id) IN %(traces)s
