-- One row for each step of time with calls of models, whichever.
CREATE TABLE calls_over_time AS
SELECT
    zoned(time_bucket(step, started)) AS time,
    count(*) AS calls,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / count(*) AS error_rate,
    quantile_cont(latency_ms, 0.5) AS p50_ms,
    quantile_cont(latency_ms, 0.9) AS p90_ms,
    quantile_cont(latency_ms, 0.95) AS p95_ms,
    quantile_cont(latency_ms, 0.99) AS p99_ms,
    quantile_cont(time_to_first_token_ms, 0.5) AS first_token_p50_ms,
    quantile_cont(time_to_first_token_ms, 0.95) AS first_token_p95_ms
FROM usage, report_window
WHERE is_call AND started >= window_start AND started < window_end
GROUP BY 1
ORDER BY time;
