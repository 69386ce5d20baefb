-- Billable units by project and month: each trace, observation and score is one, however often it was updated or sent.
-- `events` counts distinct accepted events; it reaches back as far as the archive does. The month is that of first_seen
-- (UTC), which never changes.
CREATE OR REPLACE VIEW {database}.metering {on_cluster} AS
SELECT
    project_id, month, sum(trace) AS traces, sum(observation) AS observations, sum(score) AS scores,
    traces + observations + scores AS units, sum(event) AS events
FROM
(
    SELECT project_id, toStartOfMonth(first_seen) AS month, count() AS trace, 0 AS observation, 0 AS score, 0 AS event
    FROM {database}.traces GROUP BY project_id, month
    UNION ALL
    SELECT project_id, toStartOfMonth(first_seen) AS month, 0, count(), 0, 0
    FROM {database}.observations GROUP BY project_id, month
    UNION ALL
    SELECT project_id, toStartOfMonth(first_seen) AS month, 0, 0, count(), 0
    FROM {database}.scores GROUP BY project_id, month
    UNION ALL
    SELECT project_id, toStartOfMonth(first_seen) AS month, 0, 0, 0, uniqExact(trace_id, event_id, identity)
    FROM {database}.raw_events GROUP BY project_id, month
)
GROUP BY project_id, month
