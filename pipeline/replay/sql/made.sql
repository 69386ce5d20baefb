-- What the rows of some traces, also of deleted ones, and of some groups of scores without a trace were made from: the
-- greatest version, and the greatest of any epoch without its epoch.
SELECT project_id, trace_id, max(row_version), max(bitAnd(row_version, 1099511627775))
FROM traces_rows
WHERE toStartOfHour(first_seen) IN %(hours)s AND (project_id, trace_id) IN %(keys)s
GROUP BY project_id, trace_id
UNION ALL
SELECT project_id, score_group, max(row_version), max(bitAnd(row_version, 1099511627775))
FROM scores_rows
WHERE trace_id = '' AND toStartOfHour(first_seen) IN %(hours)s AND (project_id, score_group) IN %(keys)s
GROUP BY project_id, score_group
