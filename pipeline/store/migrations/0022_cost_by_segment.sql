-- Cost by segment of users, which a trace tells by a tag or by a key of its metadata. `segment` is '' for the tag
-- itself: WHERE key = 'plan' gives the values of metadata['plan'], WHERE key = '' gives the tags. A trace stands under
-- each of its tags and keys: sum within one key only. Long values are texts rather than segments and are left out.
CREATE OR REPLACE VIEW {database}.cost_by_segment {on_cluster} AS
SELECT
    project_id, toDate(start_time) AS day, segment.1 AS key, segment.2 AS value, count() AS traces,
    sum(total_tokens) AS tokens, sum(total_cost) AS total_cost
FROM {database}.traces
ARRAY JOIN arrayConcat(
    arrayMap(tag -> ('', toString(tag)), arrayDistinct(tags)),
    arrayFilter(
        pair -> length(pair.2) <= 64,
        arrayMap((name, text) -> (toString(name), text), mapKeys(metadata), mapValues(metadata))
    )
) AS segment
GROUP BY project_id, day, key, value
