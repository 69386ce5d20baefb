-- What one observation cost before, oldest first.
SELECT repriced_at, old_total_cost, new_total_cost, old_price_id, new_price_id, epoch, reason
FROM cost_history
WHERE project_id = %(project)s AND trace_id = %(trace)s AND observation_id = %(observation)s
ORDER BY new_version
