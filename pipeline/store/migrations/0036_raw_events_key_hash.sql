-- By which a record's key chooses its partition (Kafka's default partitioner: this modulo the number of partitions), so
-- that it need not be computed from every id to find the traces that have their home in one. Computed on reading in
-- parts that are older than this column.
ALTER TABLE {database}.raw_events {on_cluster}
    ADD COLUMN IF NOT EXISTS key_hash UInt32
        MATERIALIZED bitAnd(kafkaMurmurHash(concat(project_id, '/', trace_id)), 0x7fffffff) CODEC(ZSTD(1))
