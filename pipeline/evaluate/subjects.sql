-- What evaluators see of some traces: keys is a tuple of (project id, trace id). A percent sign here starts a parameter.
SELECT
    t.project_id,
    t.trace_id,
    if(t.output != '', t.output, o.output) AS output,
    t.latency_ms,
    t.total_cost,
    t.error_count
FROM (SELECT * FROM traces WHERE (project_id, trace_id) IN %(keys)s) AS t
LEFT JOIN
(
    SELECT project_id, trace_id, observation_id, output FROM observations
    WHERE (project_id, trace_id) IN %(keys)s
) AS o
    ON o.project_id = t.project_id AND o.trace_id = t.trace_id AND o.observation_id = t.root_observation_id
