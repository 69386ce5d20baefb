-- The media that the row refers to, so that retention finds those to which no row does without reading any text.
-- Computed on reading in parts that are older than this column.
ALTER TABLE {database}.observations_rows {on_cluster}
    ADD COLUMN IF NOT EXISTS media_ids Array(String) MATERIALIZED arrayDistinct(arrayFlatten(arrayMap(
        text -> if(
            position(text, '@@@langfuseMedia:') > 0,
            extractAll(text, '@@@langfuseMedia:(?:[^@]*\\|)?id=([A-Za-z0-9_-]+)'),
            []
        ),
        [input, output, arrayStringConcat(mapValues(metadata), ' ')]
    ))) CODEC(ZSTD(1))
