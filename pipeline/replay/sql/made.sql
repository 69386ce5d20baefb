-- The greatest version of the rows of some traces, also of deleted ones, and of some groups of scores without a trace.
SELECT project_id, trace_id, max(row_version)
FROM traces_rows
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s
GROUP BY project_id, trace_id
UNION ALL
SELECT project_id, score_group, max(row_version)
FROM scores_rows
WHERE trace_id = '' AND toStartOfHour(first_seen) IN %(hours)s AND (project_id, score_group) IN %(keys)s
GROUP BY project_id, score_group
