-- What each model cost; a sum over no known price is NULL, never 0.
SELECT
    model,
    count() AS calls,
    sum(usage['total']) AS tokens,
    sum(total_cost) AS cost,
    countIf(total_cost IS NULL) AS without_cost
FROM observations
WHERE project_id = 'demo' AND model != ''
GROUP BY model
ORDER BY cost DESC NULLS LAST, calls DESC, model
