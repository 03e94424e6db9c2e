-- The slowest calls of models, at most 100.
CREATE TABLE slowest_calls AS
SELECT
    event_id,
    session_id,
    named(model) AS model,
    event_name,
    start_time,
    latency_ms,
    time_to_first_token_ms,
    input_tokens,
    output_tokens,
    coalesce(failed, false) AS failed
FROM model_calls
WHERE latency_ms IS NOT NULL
ORDER BY latency_ms DESC, start_time, event_id, session_id
LIMIT 100;
