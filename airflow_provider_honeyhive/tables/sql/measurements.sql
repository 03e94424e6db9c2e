-- A row for each number in `metrics` that is measured and no score, such as milliseconds and words.
SELECT
    event_id,
    session_id,
    event_type,
    event_name,
    start_time,  -- of the event
    name,
    number
FROM found_scores
WHERE is_measurement AND is_here(place)
ORDER BY place, name
