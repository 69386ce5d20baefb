-- When some traces and groups of scores were first seen, by the archive and by their rows, if at all.
SELECT project_id, trace_id, toUnixTimestamp64Micro(min(seen)) AS first_seen_at
FROM
(
    SELECT project_id, trace_id, first_seen AS seen
    FROM raw_events
    WHERE (project_id, trace_id) IN %(keys)s
    UNION ALL
    SELECT project_id, trace_id, first_seen
    FROM traces_rows
    WHERE trace_id IN %(ids)s AND (project_id, trace_id) IN %(keys)s
    UNION ALL
    SELECT project_id, score_group, first_seen
    FROM scores_rows
    WHERE trace_id = '' AND (project_id, score_group) IN %(keys)s
)
GROUP BY project_id, trace_id
