-- Which of these observations are in the view now.
SELECT observation_id FROM observations
WHERE project_id = 'demo' AND trace_id IN %(traces)s AND observation_id IN %(ids)s
