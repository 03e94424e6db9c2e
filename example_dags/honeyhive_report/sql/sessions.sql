-- One row for each session, as far as its events are in the window; the costliest first.
CREATE TABLE sessions AS
SELECT
    session_id,
    any_value(source) AS source,
    zoned(min(started)) AS started,
    epoch_us(max(coalesce(events.ended, events.started)) - min(events.started)) / 1000.0 AS duration_ms,
    count(*) AS events,
    count(model) AS model_calls,
    count(*) FILTER (failed) AS errors,
    sum(cost) AS cost,
    sum(total_tokens) AS total_tokens
FROM events
WHERE session_id IS NOT NULL
GROUP BY session_id
ORDER BY cost DESC NULLS LAST, events DESC, session_id;
