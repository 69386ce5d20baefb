-- Marks that were made before 0040 hold the moment that was right then, 90 days after the mark: they stay as long as the
-- ones that came after. Again it finds nothing to change.
ALTER TABLE {database}.dead_letter_states {on_cluster}
    UPDATE expires_at = toDateTime(state_at, 'UTC') + INTERVAL 20 YEAR
    WHERE expires_at < toDateTime(state_at, 'UTC') + INTERVAL 20 YEAR
