-- A step on the way: the events of each session that may hold its first question, in the order in which they are looked
-- at: the root, then by time. Tools do not ask.
SELECT
    facts.session_id,
    place,
    row_number() OVER (
        PARTITION BY facts.session_id ORDER BY root_place IS NULL, start_time NULLS LAST, place
    ) AS rank
FROM facts LEFT JOIN roots ON root_place = place
WHERE facts.session_id IS NOT NULL AND event_type IS DISTINCT FROM 'tool'
