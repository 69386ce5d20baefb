-- One row for each trace, its newest version, right at any moment: whether or not parts have merged.
CREATE VIEW IF NOT EXISTS {database}.traces {on_cluster} AS
SELECT
    project_id, trace_id, name, user_id, session_id, environment, release, version, tags, public, metadata,
    input, output, start_time, end_time, latency_ms, level, status, error_count, observation_count, usage,
    total_tokens, cost, total_cost, root_observation_id, settled, flags, first_seen, updated_at, row_version
FROM {database}.traces_rows FINAL
SETTINGS
    do_not_merge_across_partitions_select_final = 1,  -- the partition follows from the key
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1          -- an index hit on an old version must not hide the newest
