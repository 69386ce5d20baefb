-- A 64-bit hash for each trace that has an archived event from one partition or, should its archive have expired, rows
-- under a key that Kafka's default partitioner puts there (all, where the number of partitions is not known). Ascending.
SELECT DISTINCT hash
FROM
(
    SELECT trace_hash AS hash
    FROM raw_events
    WHERE topic = %(topic)s AND partition = %(partition)s
    UNION ALL
    SELECT xxh3(concat(project_id, '/', trace_id)) AS hash
    FROM traces_rows
    WHERE %(partitions)s = 0
        OR bitAnd(kafkaMurmurHash(concat(project_id, '/', trace_id)), 0x7fffffff) %% greatest(%(partitions)s, 1) = %(partition)s
)
ORDER BY hash
