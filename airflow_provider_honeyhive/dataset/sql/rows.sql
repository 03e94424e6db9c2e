-- The rows of one slice in their order: as columns, and as the end of a line of JSON.
WITH told AS (
    SELECT
        place,
        messages,
        tools,
        event_id,
        coalesce(event_ids, [event_id]) AS event_ids,
        session_id,
        model,
        provider,
        start_time,
        getvariable('exports')[export_number + 1] AS export,
        coalesce(scores, []) AS scores
    FROM
        kept
        JOIN calls USING (place)
        JOIN conversations USING (place)
        LEFT JOIN call_scores USING (place)
        LEFT JOIN repeated ON repeated.digest = kept.digest
    WHERE slice = getvariable('slice')
)
SELECT
    * EXCLUDE (place),
    to_json({
        'event_id': event_id,
        'event_ids': event_ids,
        'session_id': session_id,
        'model': model,
        'provider': provider,
        'start_time': strftime(
            start_time, if(epoch_us(start_time) % 1000 = 0, '%Y-%m-%dT%H:%M:%S.%gZ', '%Y-%m-%dT%H:%M:%S.%fZ')
        ),
        'export': export,
        'scores': scores
    }) AS facts
FROM told
ORDER BY start_time NULLS LAST, place
