-- Which of some events are archived.
SELECT DISTINCT hex(identity)
FROM raw_events
WHERE (project_id, trace_id) IN %(keys)s AND hex(identity) IN %(identities)s
