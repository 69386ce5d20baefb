-- A mark for each; the letters themselves stay until their time is over.
INSERT INTO dead_letter_states (topic, partition, offset, timestamp, state, state_at, replays, note)
SELECT topic, partition, offset, timestamp, 'discarded', now64(6, 'UTC'), replays, %(note)s
FROM dead_letters
WHERE {chosen}
