-- How far back the archive of some projects reaches, in seconds; what the log took before has expired.
SELECT project_id, toUnixTimestamp(min(timestamp))
FROM raw_events
WHERE project_id IN %(projects)s
GROUP BY project_id
