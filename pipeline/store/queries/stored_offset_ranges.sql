-- The chunks of one partition that are stored, in order of their first offset; chunks of different cuts may overlap.
SELECT
    topic, partition, first, last, records, events, new, duplicate, rejected, stored_at, toUnixTimestamp(expires_at),
    projects, receivers, minutes, outcomes, amounts, places, offsets
FROM offset_ranges FINAL
WHERE topic = %(topic)s AND partition = %(partition)s
ORDER BY first, last
