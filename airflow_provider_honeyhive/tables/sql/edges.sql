-- A row for each event: which one is above it.
SELECT
    event_id,
    parent_id,
    session_id,
    nullif(depth, -1) AS depth,  -- how many events are above it; NULL in or below a cycle
    CASE
        WHEN depth = -1 THEN 'cycle'
        WHEN depth > 0 THEN 'child'
        WHEN parent_id IS NULL THEN 'root'
        ELSE 'orphan'  -- its parent is not among the events
    END AS kind
FROM facts JOIN tree USING (place)
WHERE is_here(place)
ORDER BY place
