-- What became of the records of a topic: for each partition, up to which offset that is known, and the counts.
SELECT partition, max(last) + 1 AS end, sum(new), sum(duplicate), sum(rejected)
FROM offset_ranges FINAL
WHERE topic = %(topic)s
GROUP BY partition
