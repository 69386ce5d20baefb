-- Distinct events in the archive by the route that took them in, of offsets below those in `ends` (by partition).
SELECT receiver, count()
FROM raw_events FINAL
WHERE topic = %(topic)s AND offset < arrayElement(%(ends)s, partition + 1)
GROUP BY receiver
