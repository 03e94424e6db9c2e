-- A step on the way: the root of each session, by the number of its event. It has the session's id; where that is hashed
-- or there is no such event, it is the first event of type `session` without a parent.
SELECT
    session_id,
    coalesce(
        min(event_number) FILTER (event_id = session_id), min(event_number) FILTER (event_type = 'session' AND parent_id IS NULL)
    ) AS root_number
FROM facts
WHERE session_id IS NOT NULL
GROUP BY session_id
HAVING root_number IS NOT NULL
