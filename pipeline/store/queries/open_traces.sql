-- Traces that one partition feeds and whose newest row is not settled, after a given one, in order; and which of them
-- wait for nothing any more.
SELECT DISTINCT
    project_id, trace_id,
    (project_id, trace_id) IN (SELECT project_id, trace_id FROM traces WHERE NOT settled AND status != 'RUNNING') AS ended
FROM raw_events
WHERE topic = %(topic)s AND partition = %(partition)s
    AND (project_id, trace_id) > (%(after_project)s, %(after_trace)s)
    AND (project_id, trace_id) IN (SELECT project_id, trace_id FROM traces WHERE NOT settled)
ORDER BY project_id, trace_id
LIMIT %(limit)s
