-- The stored rows of the scores of traces whose archive expired.
SELECT project_id, trace_id, 'score' AS kind, score_id AS entity_id, *
FROM scores
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s
