-- One row about everything.
CREATE TABLE summary AS
SELECT
    count(*) AS events,
    count(DISTINCT session_id) AS sessions,
    count(model) AS model_calls,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / nullif(count(*), 0) AS error_rate,
    sum(cost) AS cost,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(total_tokens) AS total_tokens,
    quantile_cont(latency_ms, 0.5) FILTER (model IS NOT NULL) AS model_p50_ms,
    quantile_cont(latency_ms, 0.95) FILTER (model IS NOT NULL) AS model_p95_ms,
    zoned(min(started)) AS first_event,
    zoned(max(started)) AS last_event
FROM events;
