-- How an observation's usage was read from what was received: the rule's id, or how it was estimated.
ALTER TABLE {database}.observations_rows {on_cluster}
    ADD COLUMN IF NOT EXISTS usage_rule LowCardinality(String) AFTER usage_source
