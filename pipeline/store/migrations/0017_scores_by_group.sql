-- A score without a trace belongs to a session or a dataset run. That is part of its identity: two sessions may use the
-- same score id, and the rows of one must not replace those of the other.
ALTER TABLE {database}.scores_rows {on_cluster}
    ADD COLUMN IF NOT EXISTS score_group String CODEC(ZSTD(1)),   -- session:ID or run:ID; '' with a trace
    MODIFY ORDER BY (project_id, toStartOfHour(first_seen), trace_id, score_id, score_group)
