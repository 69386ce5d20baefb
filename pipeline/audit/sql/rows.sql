-- The newest row under every key of some traces, tombstones too: table, id, hour of first_seen, what it says of itself.
-- Of two of one version the one that was written last counts, as it does in the views.
SELECT
    'trace' AS kind, project_id, trace_id AS trace, trace_id AS id, toUnixTimestamp(toStartOfHour(first_seen)) AS hour,
    argMax((row_version, is_deleted, settled, has(flags, 'archive_expired'), toUnixTimestamp64Micro(first_seen)),
        (row_version, updated_at)) AS newest
FROM traces_rows
WHERE (project_id, trace_id) IN %(keys)s AND trace_id IN %(ids)s
GROUP BY project_id, trace_id, hour
UNION ALL
SELECT
    'observation', project_id, trace_id, observation_id, toUnixTimestamp(toStartOfHour(first_seen)) AS hour,
    argMax((row_version, is_deleted, false, false, toUnixTimestamp64Micro(first_seen)), (row_version, updated_at))
FROM observations_rows
WHERE (project_id, trace_id) IN %(keys)s AND trace_id IN %(ids)s
GROUP BY project_id, trace_id, observation_id, hour
UNION ALL
SELECT
    'score', project_id, if(trace_id = '', score_group, trace_id) AS trace, score_id,
    toUnixTimestamp(toStartOfHour(first_seen)) AS hour,
    argMax((row_version, is_deleted, false, false, toUnixTimestamp64Micro(first_seen)), (row_version, updated_at))
FROM scores_rows
WHERE (project_id, if(trace_id = '', score_group, trace_id)) IN %(keys)s
GROUP BY project_id, trace, score_id, hour
