-- How many dead letters there are, by project, reason and state.
SELECT project_id, reason, state, count() AS letters, min(failed_at) AS first, max(failed_at) AS last
FROM dead_letters
WHERE {chosen}
GROUP BY project_id, reason, state
ORDER BY letters DESC, project_id, reason, state
