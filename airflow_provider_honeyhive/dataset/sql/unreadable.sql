-- Chosen calls that are no conversations, and calls without an id.
SELECT event_id, session_id, reason FROM (
    SELECT event_id, session_id, reason, start_time, place
    FROM conversations JOIN calls USING (place)
    WHERE reason IS NOT NULL
    UNION ALL
    SELECT NULL, session_id, 'no_event_id', start_time, -1
    FROM model_calls
    WHERE event_id IS NULL
)
ORDER BY start_time NULLS LAST, place, session_id
