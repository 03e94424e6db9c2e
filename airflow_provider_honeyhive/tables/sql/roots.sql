-- A step on the way: the root of each session, by the place of its event. It has the session's id; where that is hashed
-- or there is no such event, it is the first event of type `session` without a parent.
SELECT
    session_id,
    coalesce(
        min(place) FILTER (event_id = session_id), min(place) FILTER (event_type = 'session' AND parent_id IS NULL)
    ) AS root_place
FROM facts
WHERE session_id IS NOT NULL
GROUP BY session_id
HAVING root_place IS NOT NULL
