-- Up to which offset (excluded) each partition of a topic was stored at some moment.
SELECT partition, max(last) + 1
FROM offset_ranges
WHERE topic = %(topic)s AND stored_at < toDateTime64(%(moment)s, 6, 'UTC')
GROUP BY partition
ORDER BY partition
