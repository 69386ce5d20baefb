-- How the calls of a day came by their usage and their cost: the share that is priced, and by whom.
CREATE OR REPLACE VIEW {database}.pricing_coverage {on_cluster} AS
SELECT
    project_id, toDate(start_time) AS day, usage_source, cost_source, count() AS calls,
    calls / sum(calls) OVER (PARTITION BY project_id, day) AS share
FROM {database}.observations
WHERE model != '' OR total_cost IS NOT NULL
GROUP BY project_id, day, usage_source, cost_source
