-- Records that could not be processed, each once, and what was done about them.
-- One that failed again after it was replayed is open again.
CREATE OR REPLACE VIEW {database}.dead_letters {on_cluster} AS
SELECT
    concat(topic, '/', toString(partition), '/', toString(offset)) AS id,
    project_id, reason, stage, detail,
    if(states.state = '' OR (states.state = 'replayed' AND failed_at > states.state_at), 'open', states.state) AS state,
    if(states.state = '', NULL, states.state_at) AS state_at,
    note, greatest(attempts, if(state = 'open', replays + 1, replays)) AS attempts,
    first_failed_at, failed_at, replay_of, code_version,
    topic, partition, offset, timestamp, replays,
    key, bytes, value, header_names, header_values
FROM {database}.dead_letters_rows AS letters FINAL
LEFT JOIN (
    SELECT topic, partition, offset, timestamp, state, state_at, replays, note
    FROM {database}.dead_letter_states FINAL
) AS states USING (topic, partition, offset, timestamp)
