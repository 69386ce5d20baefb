-- The history of costs is bounded, too: by 400 days where a project does not say otherwise.
ALTER TABLE {database}.cost_history_rows {on_cluster}
    ADD COLUMN IF NOT EXISTS expires_at DateTime('UTC') DEFAULT toDateTime(repriced_at, 'UTC') + INTERVAL 400 DAY
        CODEC(Delta(4), ZSTD(1)),
    MODIFY TTL expires_at
