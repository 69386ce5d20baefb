-- The hours in which traces were first seen that have an event between some offsets of a topic's partitions.
SELECT DISTINCT toUnixTimestamp(toStartOfHour(first_seen))
FROM raw_events
WHERE {recent}
