-- Traces of which some worker wrote a fuller row under an older book after they were priced again: their newest row is
-- made from fewer events than an older one. There are none where every worker took the new book in time.
SELECT project_id, trace_id
FROM traces_rows
WHERE (project_id, trace_id) IN
    (SELECT project_id, trace_id FROM reprice_values WHERE run = %(run)s AND observation_id = '')
GROUP BY project_id, trace_id
HAVING argMax(bitShiftRight(bitAnd(row_version, 1099511627775), 1), row_version)
    < max(bitShiftRight(bitAnd(row_version, 1099511627775), 1))
ORDER BY project_id, trace_id
LIMIT 1000
