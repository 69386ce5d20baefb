-- The replays that were asked for, how far each has come, and what it came to: a replay that was broken off goes on
-- where it was.
CREATE TABLE IF NOT EXISTS {database}.replay_runs {on_cluster}
(
    run String,
    state LowCardinality(String),                 -- running, done; of the shadow then swapping, swapped, discarded
    target LowCardinality(String),                -- live or shadow
    scope String,                                 -- what was asked for, as JSON
    until DateTime64(6, 'UTC'),                   -- the end of its time range, now where none was given
    epoch UInt32,                                 -- the high part of row_version of the rows that it writes
    code LowCardinality(String),                  -- the version that began it
    started_at DateTime64(6, 'UTC'),
    updated_at DateTime64(6, 'UTC'),
    after_project String,                         -- all traces up to this one are done
    after_trace String,
    counts Map(LowCardinality(String), UInt64)    -- traces, events, rows written, what was skipped and why
)
ENGINE = {replicated}ReplacingMergeTree(updated_at)
ORDER BY run
