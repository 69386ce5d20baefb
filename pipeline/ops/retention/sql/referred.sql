-- Which of some media a stored row of a project refers to, whatever its version, or a dead letter, which may be
-- replayed into one.
SELECT DISTINCT id
FROM
(
    SELECT arrayJoin(media_ids) AS id
    FROM traces_rows
    WHERE project_id = %(project)s AND notEmpty(media_ids)
    UNION ALL
    SELECT arrayJoin(media_ids) AS id
    FROM observations_rows
    WHERE project_id = %(project)s AND notEmpty(media_ids)
    UNION ALL
    SELECT arrayJoin(extractAll(text, '@@@langfuseMedia:(?:[^@]*\\|)?id=([A-Za-z0-9_-]+)')) AS id
    FROM
    (
        SELECT concat(string_value, ' ', comment, ' ', arrayStringConcat(mapValues(metadata), ' ')) AS text
        FROM scores_rows
        WHERE project_id = %(project)s
        UNION ALL
        SELECT ifNull(value, '') AS text
        FROM dead_letters_rows
        WHERE project_id = %(project)s
    )
    WHERE position(text, '@@@langfuseMedia:') > 0
)
WHERE id IN %(ids)s
