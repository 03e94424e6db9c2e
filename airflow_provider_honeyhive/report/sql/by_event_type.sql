-- One row for each type of event, the most frequent first.
CREATE TABLE by_event_type AS
WITH grouped AS (
    SELECT
        named(event_type) AS event_type,
        count(*) AS events,
        count(*) FILTER (failed) AS errors,
        count(*) FILTER (failed) / count(*) AS error_rate,
        sum(cost) FILTER (counts_cost) AS cost,
        total(if(counts_tokens, input_tokens, NULL)) AS input_tokens,
        total(if(counts_tokens, output_tokens, NULL)) AS output_tokens,
        total(if(counts_tokens, total_tokens, NULL)) AS total_tokens,
        percentiles(duration_ms) AS latency
    FROM events
    GROUP BY 1
)
SELECT
    * EXCLUDE (latency),
    latency[1] AS p50_ms,
    latency[2] AS p90_ms,
    latency[3] AS p95_ms,
    latency[4] AS p99_ms
FROM grouped
ORDER BY events DESC, event_type;
