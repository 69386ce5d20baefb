-- Traces of which archive and rows do not agree at first sight, and how many traces were looked at. The archive counts
-- distinct events; rows say in their version from how many they were made. Scores without a trace are found by their
-- group. Some of these turn out to be right (a trace with deletions, one in flight); none that is wrong is left out
-- whose rows and events lie under one first_seen.
WITH compared AS
(
    SELECT
        project_id, trace, sum(archived) AS events, max(counted) AS told, max(any_counted) AS most,
        sum(archived_observations) AS said_observations, sum(observation_rows) AS observations,
        max(observation_count) AS counted_observations, sum(archived_scores) AS said_scores, sum(score_rows) AS scores
    FROM
    (
        SELECT
            project_id, trace_id AS trace, uniqExact(event_id, identity) AS archived,
            uniqExactIf(entity_id, kind = 'observation') AS archived_observations,
            uniqExactIf(entity_id, kind = 'score') AS archived_scores,
            0 AS counted, 0 AS any_counted, 0 AS observation_rows, 0 AS observation_count, 0 AS score_rows
        FROM raw_events
        WHERE {raw}
        GROUP BY project_id, trace
        UNION ALL
        SELECT
            project_id, trace_id, 0, 0, 0, bitShiftRight(bitAnd(row_version, 1099511627775), 1) AS counted, counted,
            0, observation_count, 0
        FROM traces_rows FINAL
        WHERE {rows}
        UNION ALL
        SELECT
            project_id, trace_id, 0, 0, 0, 0, max(bitShiftRight(bitAnd(row_version, 1099511627775), 1)), count(), 0, 0
        FROM observations_rows FINAL
        WHERE {rows}
        GROUP BY project_id, trace_id
        UNION ALL
        SELECT
            project_id, if(trace_id = '', score_group, trace_id) AS trace, 0, 0, 0,
            if(any(trace_id) = '', max(bitShiftRight(bitAnd(row_version, 1099511627775), 1)), 0),
            max(bitShiftRight(bitAnd(row_version, 1099511627775), 1)), 0, 0, count()
        FROM scores_rows FINAL
        WHERE {scores}
        GROUP BY project_id, trace
    )
    GROUP BY project_id, trace
)
SELECT
    groupArrayIf(%(most)s)(
        (project_id, trace),
        events != told OR most > events OR observations != counted_observations
            OR said_observations != observations OR said_scores != scores
    ) AS suspects,
    count() AS looked_at
FROM compared
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 1000000000
