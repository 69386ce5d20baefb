-- What replays remember of themselves is bounded, too: one goes on where it was broken off for 400 days.
ALTER TABLE {database}.replay_runs {on_cluster}
    ADD COLUMN IF NOT EXISTS expires_at DateTime('UTC') DEFAULT toDateTime(updated_at, 'UTC') + INTERVAL 400 DAY
        CODEC(Delta(4), ZSTD(1)),
    MODIFY TTL expires_at
