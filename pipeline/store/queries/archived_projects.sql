-- Projects with archived events of the last days, the same ones each time.
SELECT project_id
FROM raw_events
WHERE first_seen >= now() - toIntervalDay(%(days)s)
GROUP BY project_id
ORDER BY cityHash64(project_id)
LIMIT %(limit)s
