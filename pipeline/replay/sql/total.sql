-- About how many traces have an event in the time range, after a given one.
SELECT uniq(project_id, trace_id)
FROM raw_events
WHERE project_id >= %(after_project)s AND (project_id > %(after_project)s OR trace_id > %(after_trace)s)
    AND timestamp >= toDateTime64(%(start)s, 6, 'UTC') AND timestamp < toDateTime64(%(until)s, 6, 'UTC')
    AND first_seen < toDateTime64(%(until)s, 6, 'UTC') {only}
