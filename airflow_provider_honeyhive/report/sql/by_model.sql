-- One row for each model that was called, the costliest first; at last, without a name, what other events add.
CREATE TABLE by_model AS
WITH grouped AS (
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
        percentiles(latency_ms) AS latency,
        percentiles(time_to_first_token_ms) AS first_token
    FROM usage
    GROUP BY model
)
SELECT
    * EXCLUDE (latency, first_token),
    latency[1] AS p50_ms,
    latency[2] AS p90_ms,
    latency[3] AS p95_ms,
    latency[4] AS p99_ms,
    first_token[1] AS first_token_p50_ms,
    first_token[3] AS first_token_p95_ms
FROM grouped
ORDER BY model IS NULL, cost DESC NULLS LAST, calls DESC, model;
