-- Which media a trace and its observations refer to in their input and output, by reading the references in them:
-- right at any moment, and as fast as reading these texts. Ask for a project and a time, or for a trace.
CREATE VIEW IF NOT EXISTS {database}.media {on_cluster}
(
    project_id LowCardinality(String),
    trace_id String,
    observation_id String COMMENT 'empty for the trace itself',
    field LowCardinality(String) COMMENT 'input or output',
    media_id String COMMENT 'for GET /api/public/media/ID',
    content_type String,
    start_time DateTime64(6, 'UTC')
)
AS SELECT DISTINCT
    project_id, trace_id, observation_id, said.1 AS field, found[2] AS media_id, found[1] AS content_type, start_time
FROM
(
    SELECT project_id, trace_id, observation_id, [('input', input), ('output', output)] AS texts, start_time
    FROM {database}.observations
    UNION ALL
    SELECT project_id, trace_id, '' AS observation_id, [('input', input), ('output', output)] AS texts, start_time
    FROM {database}.traces
)
ARRAY JOIN texts AS said
ARRAY JOIN extractAllGroups(said.2, '@@@langfuseMedia:type=([^|@]+)\|id=([A-Za-z0-9_-]+)\|source=[a-z0-9_]+@@@') AS found
