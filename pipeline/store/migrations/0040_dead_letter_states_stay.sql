-- A mark must not leave before its letter, which a project may keep for years: it would be open again.
ALTER TABLE {database}.dead_letter_states {on_cluster}
    MODIFY COLUMN IF EXISTS expires_at DateTime('UTC') DEFAULT toDateTime(state_at, 'UTC') + INTERVAL 20 YEAR
