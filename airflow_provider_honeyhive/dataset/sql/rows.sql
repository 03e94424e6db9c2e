-- The rows of the dataset in their order.
SELECT
    messages,
    tools,
    event_id,
    event_ids,
    session_id,
    model,
    provider,
    start_time,
    export_number,
    coalesce(scores, []) AS scores
FROM kept JOIN calls USING (place) JOIN conversations USING (place) LEFT JOIN call_scores USING (place)
ORDER BY start_time NULLS LAST, place
