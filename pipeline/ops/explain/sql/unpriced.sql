-- Models whose calls have no cost although they have a model, the most calls first.
SELECT
    project_id, model, count() AS calls, countIf(usage_source = 'none') AS without_usage,
    sum(usage['total']) AS tokens, toString(min(start_time)) AS first, toString(max(start_time)) AS last
FROM observations
WHERE model != '' AND total_cost IS NULL AND NOT (level = 'ERROR' AND usage_source = 'none')
    AND (%(project)s = '' OR project_id = %(project)s)
GROUP BY project_id, model
ORDER BY calls DESC, project_id, model
LIMIT %(limit)s
