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
    quantile_cont(latency_ms, 0.99) AS p99_ms
FROM events, report_window
WHERE model IS NOT NULL AND started IS NOT NULL
GROUP BY ALL
ORDER BY time;
