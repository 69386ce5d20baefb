-- A 64-bit hash for each trace that has an archived event from one partition (redelivered events are recognised by it),
-- or whose key Kafka's default partitioner puts there: one with archived events that came by another partition before
-- the topic grew, though its rows have expired, were lost or never came; and one with rows, since its archive may have
-- expired. All, where the number of partitions is not known. Ascending.
SELECT DISTINCT hash
FROM
(
    SELECT trace_hash AS hash
    FROM raw_events
    WHERE (topic = %(topic)s AND partition = %(partition)s)
        OR %(partitions)s = 0
        OR key_hash %% greatest(%(partitions)s, 1) = %(partition)s
    UNION ALL
    SELECT xxh3(key) AS hash
    FROM
    (
        SELECT concat(project_id, '/', trace_id) AS key FROM traces_rows
        UNION ALL
        SELECT concat(project_id, '/', score_group) AS key FROM scores_rows WHERE score_group != ''
    )
    WHERE %(partitions)s = 0
        OR bitAnd(kafkaMurmurHash(key), 0x7fffffff) %% greatest(%(partitions)s, 1) = %(partition)s
)
ORDER BY hash
