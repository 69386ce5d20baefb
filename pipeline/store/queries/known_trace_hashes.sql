-- A 64-bit hash for each trace that has an archived event from one partition, ascending.
SELECT DISTINCT trace_hash
FROM raw_events
WHERE topic = %(topic)s AND partition = %(partition)s
ORDER BY trace_hash
