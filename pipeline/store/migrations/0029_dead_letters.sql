-- Records that could not be processed, each once, and what was done about them.
CREATE OR REPLACE VIEW {database}.dead_letters {on_cluster} AS
SELECT
    concat(topic, '/', toString(partition), '/', toString(offset)) AS id,
    project_id, reason, stage, detail,
    if(state = '', 'open', state) AS state,
    if(state = '', NULL, state_at) AS state_at,
    note, attempts, first_failed_at, failed_at, replay_of, code_version,
    topic, partition, offset, timestamp,
    key, length(value) AS bytes, value, header_names, header_values
FROM {database}.dead_letters_rows AS letters FINAL
LEFT JOIN (
    SELECT topic, partition, offset, timestamp, state, state_at, note FROM {database}.dead_letter_states FINAL
) AS states USING (topic, partition, offset, timestamp)
