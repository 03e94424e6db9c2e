-- The newest calls of models and tools that failed, at most 100. Sessions and chains fail because of what is in them.
CREATE TABLE failed_calls AS
SELECT event_id, session_id, event_type, named(event_name) AS event_name, model, start_time, duration_ms
FROM events
WHERE failed AND event_type IN ('model', 'tool')
ORDER BY start_time DESC NULLS LAST, event_id, session_id
LIMIT 100;
