-- The partitions of a shadow table that hold rows.
SELECT DISTINCT partition_id
FROM system.parts
WHERE database = %(database)s AND table = %(table)s AND active AND rows > 0
ORDER BY partition_id
