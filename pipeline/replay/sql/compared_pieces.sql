-- How many shadow rows each project has on each day of first_seen.
SELECT project_id, toUnixTimestamp(toStartOfDay(first_seen)) AS day, count() AS rows
FROM {shadow}.{table}
GROUP BY project_id, day
ORDER BY project_id, day
