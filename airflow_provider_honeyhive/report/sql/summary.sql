-- One row about everything.
CREATE TABLE summary AS
WITH all_events AS (
    SELECT
        count(*) AS events,
        count(*) FILTER (failed) AS errors,
        sum(cost) FILTER (counts_cost) AS cost,
        total(if(counts_tokens, input_tokens, NULL)) AS input_tokens,
        total(if(counts_tokens, output_tokens, NULL)) AS output_tokens,
        total(if(counts_tokens, total_tokens, NULL)) AS total_tokens,
        min(start_time) AS first_event,
        max(start_time) AS last_event,
        count(*) FILTER (nullif(session_id, '') IS NULL) AS events_without_session,
        count(*) FILTER (start_time IS NULL) AS events_without_time,
        count(*) FILTER (utc(start_time) < window_start OR utc(start_time) >= window_end) AS events_outside_window
    FROM events, report_window
),
calls AS (
    SELECT
        count(*) AS model_calls,
        count(*) FILTER (failed) AS model_errors,
        percentiles(latency_ms) AS latency
    FROM model_calls
),
parents AS (
    SELECT count(*) FILTER (kind = 'orphan') AS orphans, count(*) FILTER (kind = 'cycle') AS events_in_cycles
    FROM edges
)
SELECT
    events,
    (SELECT count(*) FROM sessions) AS sessions,
    model_calls,
    (SELECT count(*) FROM scores) AS scores,
    errors,
    errors / nullif(events, 0) AS error_rate,
    model_errors,
    model_errors / nullif(model_calls, 0) AS model_error_rate,
    cost,
    input_tokens,
    output_tokens,
    total_tokens,
    latency[1] AS model_p50_ms,
    latency[3] AS model_p95_ms,
    first_event,
    last_event,
    events_without_session,
    events_without_time,
    events_outside_window,
    orphans,
    events_in_cycles
FROM all_events, calls, parents;
