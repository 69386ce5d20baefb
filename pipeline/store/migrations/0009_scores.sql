-- One row for each score, its newest version, right at any moment: whether or not parts have merged.
CREATE VIEW IF NOT EXISTS {database}.scores {on_cluster} AS
SELECT
    project_id, score_id, trace_id, observation_id, session_id, dataset_run_id, name, data_type, value,
    string_value, comment, source, evaluator, environment, metadata, at, first_seen, updated_at, row_version
FROM {database}.scores_rows FINAL
SETTINGS
    do_not_merge_across_partitions_select_final = 1,  -- the partition follows from the key
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1          -- an index hit on an old version must not hide the newest
