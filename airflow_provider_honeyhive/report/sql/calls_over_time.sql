-- One row for each step of time with calls of models, whichever.
CREATE TABLE calls_over_time AS
WITH grouped AS (
    SELECT
        zoned(time_bucket(step, started)) AS time,
        count(*) AS calls,
        count(*) FILTER (failed) AS errors,
        count(*) FILTER (failed) / count(*) AS error_rate,
        percentiles(latency_ms) AS latency,
        percentiles(time_to_first_token_ms) AS first_token
    FROM usage, report_window
    WHERE is_call AND started >= window_start AND started < window_end
    GROUP BY 1
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
ORDER BY time;
