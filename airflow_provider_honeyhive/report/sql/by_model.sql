-- One row for each model that was called, the costliest first; at last, without a name, what other events add.
CREATE TABLE by_model AS
SELECT
    model,
    -- A few: names are strangers' texts, and there may be as many as calls.
    nullif(array_to_string(list_sort(list(DISTINCT provider))[:4], ', '), '') AS provider,
    count(*) FILTER (is_call) AS calls,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / nullif(count(*) FILTER (is_call), 0) AS error_rate,
    sum(cost) AS cost,
    total(input_tokens) AS input_tokens,
    total(output_tokens) AS output_tokens,
    total(total_tokens) AS total_tokens,
    quantile_cont(latency_ms, 0.5) AS p50_ms,
    quantile_cont(latency_ms, 0.9) AS p90_ms,
    quantile_cont(latency_ms, 0.95) AS p95_ms,
    quantile_cont(latency_ms, 0.99) AS p99_ms,
    quantile_cont(time_to_first_token_ms, 0.5) AS first_token_p50_ms,
    quantile_cont(time_to_first_token_ms, 0.95) AS first_token_p95_ms
FROM usage
GROUP BY model
ORDER BY model IS NULL, cost DESC NULLS LAST, calls DESC, model;
