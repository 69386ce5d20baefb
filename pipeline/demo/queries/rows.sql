-- Rows of each view; scores that evaluators made are counted apart.
SELECT
    (SELECT count() FROM traces WHERE project_id = 'demo') AS traces,
    (SELECT count() FROM observations WHERE project_id = 'demo') AS observations,
    (SELECT count() FROM scores WHERE project_id = 'demo' AND source != 'EVAL') AS scores,
    (SELECT count() FROM scores WHERE project_id = 'demo' AND source = 'EVAL') AS evaluated
