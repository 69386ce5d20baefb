-- Traces whose newest row is not settled and whose key Kafka's default partitioner puts into one partition of so many,
-- after a given one, in order; and which of them wait for nothing any more.
SELECT project_id, trace_id, status != 'RUNNING' AS ended
FROM traces
WHERE NOT settled
    AND bitAnd(kafkaMurmurHash(concat(project_id, '/', trace_id)), 0x7fffffff) %% %(partitions)s = %(partition)s
    AND (project_id, trace_id) > (%(after_project)s, %(after_trace)s)
ORDER BY project_id, trace_id
LIMIT %(limit)s
