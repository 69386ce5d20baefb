-- One trace in the order in which one reads its tree: each observation, then all that is below it; siblings by start
-- time, then id. Called as trace_tree(project = 'my-project', trace = 'my-trace'); `position` counts from 1.
-- The rules are those of `depth` and `path`: what has no parent stands at the top, the first of these is the root; an
-- observation whose parent is missing, or where a circle of parents was cut, stands under the root, or at the top where
-- there is none. Should a row that cuts a circle not be stored yet, what hangs on the circle comes last.
--
-- How: walk around the tree and pass each observation twice, at the place 2 * number when the walk comes down to it, at
-- 2 * number + 1 when it leaves upwards; place 0 is above the tops. For each place the one before it is known. Then, in
-- log2(places) rounds, every place takes over what the place that it knows of knows, and adds up how many observations
-- lie between. So 100,000 siblings and a chain of 5,000 cost the same few rounds. (A recursive query would be shorter,
-- but ClickHouse evaluates one wrongly inside a view.)
CREATE VIEW IF NOT EXISTS {database}.trace_tree {on_cluster} AS
WITH
    numbered AS (
        SELECT
            observation_id, parent_observation_id AS parent_id, has(flags, 'cycle_cut') AS cut,
            row_number() OVER (ORDER BY start_time, observation_id) AS number
        FROM {database}.observations
        WHERE project_id = {project:String} AND trace_id = {trace:String}
    ),
    placed AS (
        SELECT
            child.observation_id AS observation_id, child.number AS number,
            minIf(child.number, child.parent_id = '') OVER () AS root,                  -- 0: there is none
            multiIf(child.parent_id = '', 0, child.cut OR parent.number = 0, root, parent.number) AS parent
        FROM numbered AS child
        LEFT JOIN numbered AS parent ON parent.observation_id = child.parent_id
    ),
    families AS (
        SELECT parent, arraySort(groupArray((number, observation_id))) AS children FROM placed GROUP BY parent
    ),
    stops AS (                                                                           -- (place, the one before it)
        SELECT toUInt32(stop.1) AS place, toUInt32(stop.2) AS before, stop.3 AS observation_id
        FROM (
            SELECT arrayJoin(arrayPushBack(
                arrayMap(
                    (child, elder) -> (2 * child.1, if(elder = 0, 2 * parent, 2 * elder + 1), child.2),
                    children, arrayPopBack(arrayPushFront(children.1, 0))
                ),
                (2 * parent + 1, 2 * children[-1].1 + 1, '')
            )) AS stop
            FROM families
        )
    ),
    tour AS (                                                                            -- arrays by place, from 0
        SELECT
            groupArrayInsertAt(observation_id, place) AS sparse_ids,
            groupArrayInsertAt(before, place) AS sparse_befores,                         -- 0: leaves one without children
            length(sparse_ids) + length(sparse_ids) % 2 AS places,
            arrayResize(sparse_ids, places) AS ids,
            arrayMap(
                (before, place) -> if(before = 0 AND place % 2 = 1, toUInt32(place - 1), before),
                arrayResize(sparse_befores, places), range(places)
            ) AS befores
        FROM stops
    ),
    walked AS (
        SELECT
            ids,
            arrayFold(
                (known, round) -> (
                    arrayMap(before -> (known.1)[before + 1], known.1),
                    arrayMap((before, count) -> toUInt32(count + (known.2)[before + 1]), known.1, known.2)
                ),
                range(toUInt8(ceil(log2(places + 1)))),
                (befores, arrayMap(id -> toUInt32(id != ''), ids))
            ) AS known
        FROM tour
    ),
    ordered AS (
        SELECT item.1 AS position, item.2 AS observation_id
        FROM (
            SELECT
                arraySort(arrayFilter(
                    item -> item.3 != '', arrayZip(arrayMap(before -> before > 0, known.1), known.2, ids)
                )) AS items,
                arrayJoin(arrayZip(arrayEnumerate(items), items.3)) AS item
            FROM walked
        )
    )
SELECT
    ordered.position AS position,
    project_id, trace_id, observation_id, parent_observation_id, type, name, start_time, end_time,
    completion_start_time, latency_ms, time_to_first_token_ms, level, status_message, version, environment,
    model, priced_model, model_parameters, input, output, metadata, usage, usage_provided, usage_source, usage_rule,
    cost, total_cost, cost_source, price_id, prompt_name, prompt_version, tool_calls, depth, path,
    child_count, subtree_cost, subtree_tokens, orphan, flags, trace_name, user_id, session_id, tags, release,
    first_seen, updated_at, row_version
FROM {database}.observations AS observations
INNER JOIN ordered USING (observation_id)
WHERE project_id = {project:String} AND trace_id = {trace:String}
ORDER BY position
SETTINGS
    join_use_nulls = 0,
    enable_lazy_columns_replication = 1,          -- without it the arrays are copied for each of their elements
    enable_shared_storage_snapshot_in_query = 1   -- all parts of the query see the same rows
