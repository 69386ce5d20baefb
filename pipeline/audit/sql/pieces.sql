-- How many traces each project has in each day of first_seen, by archived events or by rows; and how long its archive keeps.
SELECT project_id, toUnixTimestamp(day) AS second, max(traces) AS traces, min(kept) AS kept
FROM
(
    SELECT
        project_id, toStartOfDay(first_seen) AS day, uniq(trace_id) AS traces,
        min(toUnixTimestamp(expires_at) - toUnixTimestamp(timestamp)) AS kept
    FROM raw_events
    WHERE first_seen >= toDateTime64(%(start)s, 6, 'UTC') AND first_seen < toDateTime64(%(until)s, 6, 'UTC')
        AND (%(project)s = '' OR project_id = %(project)s)
    GROUP BY project_id, day
    UNION ALL
    SELECT project_id, toStartOfDay(first_seen) AS day, uniq(trace_id) AS traces, 4294967295 AS kept
    FROM observations_rows
    WHERE first_seen >= toDateTime64(%(start)s, 6, 'UTC') AND first_seen < toDateTime64(%(until)s, 6, 'UTC')
        AND (%(project)s = '' OR project_id = %(project)s)
    GROUP BY project_id, day
    UNION ALL
    SELECT project_id, toStartOfDay(first_seen) AS day, uniq(trace_id) AS traces, 4294967295 AS kept
    FROM traces_rows
    WHERE first_seen >= toDateTime64(%(start)s, 6, 'UTC') AND first_seen < toDateTime64(%(until)s, 6, 'UTC')
        AND (%(project)s = '' OR project_id = %(project)s)
    GROUP BY project_id, day
    UNION ALL
    SELECT project_id, toStartOfDay(first_seen) AS day, uniq(trace_id, score_group) AS traces, 4294967295 AS kept
    FROM scores_rows
    WHERE first_seen >= toDateTime64(%(start)s, 6, 'UTC') AND first_seen < toDateTime64(%(until)s, 6, 'UTC')
        AND (%(project)s = '' OR project_id = %(project)s)
    GROUP BY project_id, day
)
GROUP BY project_id, day
ORDER BY project_id, day
