-- What the shadow rows change in cost, and until when that is kept.
INSERT INTO cost_history_rows
    (project_id, trace_id, observation_id, start_time, model, old_cost, new_cost, old_total_cost, new_total_cost,
     old_price_id, new_price_id, epoch, reason, repriced_at, old_version, new_version, expires_at)
SELECT *, {expires}
FROM
(
    SELECT
        was.project_id AS project_id, was.trace_id AS trace_id, was.observation_id, now.start_time, now.model, was.cost,
        now.cost, was.total_cost, now.total_cost, was.price_id, now.price_id, %(epoch)s, %(reason)s,
        now64(6, 'UTC') AS repriced_at, was.row_version, now.row_version
    FROM
    (
        SELECT project_id, trace_id, observation_id, cost, total_cost, price_id, row_version
        FROM observations_rows FINAL
        WHERE {piece}
    ) AS was
    INNER JOIN
    (
        SELECT project_id, trace_id, observation_id, start_time, model, cost, total_cost, price_id, row_version
        FROM {shadow}.observations_rows FINAL
        WHERE {piece}
    ) AS now
    ON was.project_id = now.project_id AND was.trace_id = now.trace_id AND was.observation_id = now.observation_id
    WHERE was.cost != now.cost AND was.row_version < now.row_version
)
SETTINGS do_not_merge_across_partitions_select_final = 1
