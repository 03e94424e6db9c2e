-- A step on the way: the number and place of each event, the number of its parent, and whether it tells tokens and cost;
-- 0 is not worth telling. No two events have one id.
SELECT
    child.event_number,
    child.place,
    coalesce(parent.event_number, -1),
    CAST(coalesce(child.total_tokens > 0, false) AS BIGINT),
    CAST(coalesce(child.cost > 0, false) AS BIGINT)
FROM facts AS child LEFT JOIN facts AS parent ON child.parent_id = parent.event_id
