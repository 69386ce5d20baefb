-- Which of these files have been applied, and what each looked like then.
CREATE TABLE IF NOT EXISTS {database}.schema_migrations {on_cluster}
(
    name String,            -- file name
    checksum String,        -- SHA-256 of the file, hexadecimal
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (name, checksum)
