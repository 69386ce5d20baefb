-- What the newest row of some traces was made from; `hours` are those in which the traces were first seen.
SELECT project_id, trace_id, first_seen, row_version, settled
FROM traces
WHERE toStartOfHour(first_seen) IN %(hours)s
    AND first_seen >= %(from)s AND first_seen <= %(to)s
    AND (project_id, trace_id) IN %(keys)s
