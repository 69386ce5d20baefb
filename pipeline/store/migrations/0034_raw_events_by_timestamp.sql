-- Ledger and audit ask what the log took in some minutes; a late event lies in the partition of its trace's first day.
ALTER TABLE {database}.raw_events {on_cluster}
    ADD INDEX IF NOT EXISTS by_timestamp timestamp TYPE minmax GRANULARITY 8
