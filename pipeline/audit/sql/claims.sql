-- Every version of rows of some traces, by table and key, that tells of a number of events, and when it was made.
SELECT 'trace' AS kind, project_id, trace_id AS trace, row_version, toUnixTimestamp64Micro(updated_at) AS made
FROM traces_rows
WHERE (project_id, trace_id) IN %(keys)s
UNION DISTINCT
SELECT 'observation', project_id, trace_id, row_version, toUnixTimestamp64Micro(updated_at)
FROM observations_rows
WHERE (project_id, trace_id) IN %(keys)s
UNION DISTINCT
SELECT
    'score', project_id, if(trace_id = '', score_group, trace_id) AS trace, row_version,
    toUnixTimestamp64Micro(updated_at)
FROM scores_rows
WHERE (project_id, if(trace_id = '', score_group, trace_id)) IN %(keys)s
