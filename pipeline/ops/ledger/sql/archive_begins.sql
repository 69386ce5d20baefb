-- How far back the archive of some projects reaches, in seconds; what the log took before has expired. Pinned traces stay
-- for ever and what has expired leaves in no order, so neither tells; but where nothing ever expires, all of it does.
SELECT
    project_id,
    toUnixTimestamp(if(
        countIf(expires_at < toDateTime(%(forever)s, 'UTC')) > 0,
        minIf(timestamp, expires_at < toDateTime(%(forever)s, 'UTC') AND expires_at > now('UTC')),
        min(timestamp)
    )) AS second
FROM raw_events
WHERE project_id IN %(projects)s
GROUP BY project_id
HAVING second > 0    -- else all of it has expired, but for what is pinned
