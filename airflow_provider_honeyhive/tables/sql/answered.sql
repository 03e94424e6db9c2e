-- A step on the way: the events of each session that may hold its last answer, in the order in which they are looked at:
-- the root, then by time, the one that ends last first. Tools do not answer.
SELECT
    facts.session_id,
    place,
    row_number() OVER (
        PARTITION BY facts.session_id
        ORDER BY root_place IS NULL, greatest(start_time, end_time) DESC NULLS LAST, place DESC
    ) AS rank
FROM facts LEFT JOIN roots ON root_place = place
WHERE facts.session_id IS NOT NULL AND event_type IS DISTINCT FROM 'tool'
