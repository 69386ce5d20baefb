-- What became of the records of a chunk, by project and by the minute in which the log took them (LogAppendTime).
-- The arrays before `places` have an element for each group of records that agree in project, receiver, minute and
-- outcome. `places` names the group of each record in the order of offsets, by number from 0; it is empty where there is
-- but one group. So each offset has one outcome, however often and however differently cut it was stored.
ALTER TABLE {database}.offset_ranges {on_cluster}
    ADD COLUMN IF NOT EXISTS projects Array(LowCardinality(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS receivers Array(LowCardinality(String)) CODEC(ZSTD(1)),   -- the route, as in raw_events
    ADD COLUMN IF NOT EXISTS minutes Array(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS outcomes Array(LowCardinality(String)) CODEC(ZSTD(1)),    -- stored, duplicate, rejected, ignored, moved
    ADD COLUMN IF NOT EXISTS amounts Array(UInt64) CODEC(ZSTD(1)),                     -- records
    ADD COLUMN IF NOT EXISTS places Array(UInt16) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS offsets Array(UInt64) CODEC(Delta(8), ZSTD(1)),           -- of the records; empty: first to last
    ADD INDEX IF NOT EXISTS by_stored_at stored_at TYPE minmax
