-- Traces that have settled and have a latency, which is what the demo's rule judges.
SELECT trace_id FROM traces WHERE project_id = 'demo' AND settled AND latency_ms IS NOT NULL
