-- Traces that an evaluator has scored.
SELECT DISTINCT trace_id FROM scores WHERE project_id = 'demo' AND source = 'EVAL'
