-- One row for each model that was called, the costliest first.
CREATE TABLE by_model AS
SELECT
    model,
    string_agg(DISTINCT provider, ', ' ORDER BY provider) AS provider,
    count(*) AS calls,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / count(*) AS error_rate,
    sum(cost) AS cost,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(total_tokens) AS total_tokens,
    quantile_cont(latency_ms, 0.5) AS p50_ms,
    quantile_cont(latency_ms, 0.9) AS p90_ms,
    quantile_cont(latency_ms, 0.95) AS p95_ms,
    quantile_cont(latency_ms, 0.99) AS p99_ms
FROM events
WHERE model IS NOT NULL
GROUP BY model
ORDER BY cost DESC NULLS LAST, calls DESC, model;
