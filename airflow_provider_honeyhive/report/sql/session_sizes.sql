-- How long, large and costly sessions are: one row for each percentile.
CREATE TABLE session_sizes AS
WITH sizes AS (
    SELECT
        quantile_cont(duration_ms, [0.5, 0.9, 0.99, 1]) AS duration_ms,
        quantile_cont(event_count, [0.5, 0.9, 0.99, 1]) AS events,
        quantile_cont(model_count, [0.5, 0.9, 0.99, 1]) AS model_calls,
        quantile_cont(total_tokens, [0.5, 0.9, 0.99, 1]) AS total_tokens,
        quantile_cont(cost, [0.5, 0.9, 0.99, 1]) AS cost
    FROM sessions
    HAVING count(*) > 0
)
SELECT
    unnest(['p50', 'p90', 'p99', 'max']) AS percentile,
    unnest(duration_ms) AS duration_ms,
    unnest(events) AS events,
    unnest(model_calls) AS model_calls,
    unnest(total_tokens) AS total_tokens,
    unnest(cost) AS cost
FROM sizes;
