-- The longest sessions, at most 100.
CREATE TABLE longest_sessions AS
SELECT session_id, source, start_time, duration_ms, event_count, model_count, error_count, total_tokens, cost
FROM sessions
WHERE duration_ms > 0
ORDER BY duration_ms DESC, event_count DESC, session_id
LIMIT 100;
