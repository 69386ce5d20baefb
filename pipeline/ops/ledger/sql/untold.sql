-- Publications of front doors that are not there, though later ones of the same front door are: each numbers them from 0
-- and tells the next only once Kafka has taken the one before. Told of where what came after it was told in the scope.
SELECT topic, instance, reached AS first, number - 1 AS last, toUnixTimestamp(toStartOfMinute(published_at)) AS second
FROM
(
    SELECT
        topic, instance, number, published_at,
        lagInFrame(number + 1, 1, number) OVER (
            PARTITION BY topic, instance ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS reached
    FROM edge_counts FINAL
    WHERE instance IN
    (
        SELECT instance
        FROM edge_counts
        WHERE topic = %(topic)s AND published_at >= toDateTime64(%(start)s, 6, 'UTC')
            AND published_at < toDateTime64(%(until)s, 6, 'UTC')
    )
)
WHERE reached < number AND published_at >= toDateTime64(%(start)s, 6, 'UTC')
    AND published_at < toDateTime64(%(until)s, 6, 'UTC')
ORDER BY topic, instance, first
