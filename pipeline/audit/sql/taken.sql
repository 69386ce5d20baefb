-- When the log took the records of some offsets: the first minute and the end of the last one, in Unix seconds. Chunks that
-- do not tell their minutes (of versions before the ledger) may be of any time.
SELECT
    min(if(empty(minutes), 0, intDiv(toUnixTimestamp64Micro(arrayMin(minutes)), 1000000))),
    max(if(empty(minutes), 4102444800, intDiv(toUnixTimestamp64Micro(arrayMax(minutes)), 1000000) + 60))    -- the year 2100
FROM offset_ranges
WHERE topic = %(topic)s AND partition IN %(partitions)s
    AND last >= transform(toUInt64(partition), %(partitions)s, %(lows)s, toUInt64(0))
    AND first < transform(toUInt64(partition), %(partitions)s, %(highs)s, toUInt64(0))
