-- How many traces have ended and not settled: they are about to.
SELECT count() FROM traces WHERE project_id = 'demo' AND NOT settled AND status != 'RUNNING'
