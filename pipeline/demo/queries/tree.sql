-- The observations of the newest trace of a name, parents before their children.
SELECT
    observation_id, parent_observation_id, type, name, level, latency_ms, total_cost,
    usage['total'] AS tokens, subtree_cost, subtree_tokens, model, trace_id
FROM observations
WHERE project_id = 'demo' AND trace_id =
(
    SELECT trace_id FROM traces
    WHERE project_id = 'demo' AND name = %(name)s AND status = 'SUCCESS'
    ORDER BY start_time DESC
    LIMIT 1
)
ORDER BY depth, start_time, observation_id
