-- The costliest sessions, at most 100.
CREATE TABLE costliest_sessions AS
SELECT session_id, source, start_time, duration_ms, event_count, model_count, error_count, total_tokens, cost
FROM sessions
WHERE cost > 0
ORDER BY cost DESC, event_count DESC, session_id
LIMIT 100;
