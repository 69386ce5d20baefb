-- A 64-bit hash for each trace that has an archived event from one partition (redelivered events are recognised by it),
-- or whose key Kafka's default partitioner puts there: one with rows, since its archive may have expired or its events
-- came by another partition before the topic grew; and one of late that is archived and has no rows yet (a crash in
-- between, then growth). All, where the number of partitions is not known. Ascending.
SELECT DISTINCT hash
FROM
(
    SELECT trace_hash AS hash
    FROM raw_events
    WHERE topic = %(topic)s AND partition = %(partition)s
    UNION ALL
    SELECT xxh3(key) AS hash
    FROM
    (
        SELECT concat(project_id, '/', trace_id) AS key FROM traces_rows
        UNION ALL
        SELECT concat(project_id, '/', score_group) AS key FROM scores_rows WHERE score_group != ''
        UNION ALL
        SELECT concat(project_id, '/', trace_id) AS key
        FROM (SELECT DISTINCT project_id, trace_id FROM raw_events WHERE first_seen >= now() - INTERVAL 1 DAY)
    )
    WHERE %(partitions)s = 0
        OR bitAnd(kafkaMurmurHash(key), 0x7fffffff) %% greatest(%(partitions)s, 1) = %(partition)s
)
ORDER BY hash
