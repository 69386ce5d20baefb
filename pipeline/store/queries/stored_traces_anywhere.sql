-- The same of traces of which nothing is archived any more: nobody knows when they were first seen.
SELECT project_id, trace_id, first_seen, row_version, settled
FROM traces
WHERE trace_id IN %(ids)s AND (project_id, trace_id) IN %(keys)s
