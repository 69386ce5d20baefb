-- Scores by name, source and type; only numbers and truth values have an average.
SELECT name, source, data_type, count() AS scores, avg(value) AS average
FROM scores
WHERE project_id = 'demo'
GROUP BY name, source, data_type
ORDER BY scores DESC, name, source, data_type
