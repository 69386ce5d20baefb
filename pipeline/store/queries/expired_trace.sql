-- The stored row of traces whose archive expired.
SELECT project_id, trace_id, 'trace' AS kind, trace_id AS entity_id, start_time AS at, *
FROM traces
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s
