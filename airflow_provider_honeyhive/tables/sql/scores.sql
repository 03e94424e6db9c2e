-- A row for each score: what evaluators and people said of an event.
SELECT
    event_id,
    session_id,
    event_type,
    event_name,
    start_time,  -- of the event
    source,  -- metrics, evaluations or feedback
    name,
    -- One of these three is not NULL.
    number,
    boolean,
    text,
    explanation,
    scored_at
FROM found_scores
WHERE NOT is_measurement AND is_here(place)
ORDER BY place, source, name
