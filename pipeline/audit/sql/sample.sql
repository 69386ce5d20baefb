-- Some of the archived traces, chosen by their names.
SELECT project_id, trace_id
FROM raw_events
WHERE {raw} AND cityHash64(project_id, trace_id) %% 1000000 < %(millionths)s
GROUP BY project_id, trace_id
ORDER BY cityHash64(project_id, trace_id), project_id, trace_id
LIMIT %(most)s
SETTINGS max_bytes_before_external_group_by = 1000000000
