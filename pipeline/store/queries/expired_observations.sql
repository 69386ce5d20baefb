-- The stored rows of the observations of traces whose archive expired.
SELECT project_id, trace_id, 'observation' AS kind, observation_id AS entity_id, start_time AS at, *
FROM observations
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s
