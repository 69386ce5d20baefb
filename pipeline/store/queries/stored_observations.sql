-- The stored rows of some observations of one trace.
SELECT observation_id AS entity_id, start_time AS at, *
FROM observations
WHERE toStartOfHour(first_seen) IN %(hours)s
    AND project_id = %(project)s AND trace_id = %(trace)s AND observation_id IN %(ids)s
