-- One row for each time that an observation's cost was changed by `spanfold reprice`.
CREATE OR REPLACE VIEW {database}.cost_history {on_cluster} AS
SELECT
    project_id, trace_id, observation_id, start_time, model, old_total_cost, new_total_cost,
    ifNull(new_total_cost, 0) - ifNull(old_total_cost, 0) AS difference,
    old_cost, new_cost, old_price_id, new_price_id, epoch, reason, repriced_at, old_version, new_version
FROM {database}.cost_history_rows FINAL
