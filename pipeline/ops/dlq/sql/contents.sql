-- What the records of some dead letters were.
SELECT topic, partition, offset, timestamp, key, value, header_names, header_values
FROM dead_letters
WHERE (topic, partition, offset) IN %(places)s
