-- The view of 0007, with the column `usage_rule`.
CREATE OR REPLACE VIEW {database}.observations {on_cluster} AS
SELECT
    project_id, trace_id, observation_id, parent_observation_id, type, name, start_time, end_time,
    completion_start_time, latency_ms, time_to_first_token_ms, level, status_message, version, environment,
    model, priced_model, model_parameters, input, output, metadata, usage, usage_provided, usage_source, usage_rule,
    cost, total_cost, cost_source, price_id, prompt_name, prompt_version, tool_calls, depth, path,
    child_count, subtree_cost, subtree_tokens, orphan, flags, trace_name, user_id, session_id, tags, release,
    first_seen, updated_at, row_version
FROM {database}.observations_rows FINAL
SETTINGS
    do_not_merge_across_partitions_select_final = 1,  -- the partition follows from the key
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1          -- an index hit on an old version must not hide the newest
