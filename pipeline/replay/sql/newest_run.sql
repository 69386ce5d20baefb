-- The newest replay into the live or the shadow tables; with a scope, that for it by this version of the code, if
-- something came of it within a day.
SELECT target, scope, until, epoch, state, after_project, after_trace, counts, run, code, started_at
FROM replay_runs FINAL
WHERE target = %(target)s
    AND (%(scope)s = '' OR (scope = %(scope)s AND code = %(code)s AND updated_at > now64(6) - INTERVAL 1 DAY))
ORDER BY started_at DESC
LIMIT 1
