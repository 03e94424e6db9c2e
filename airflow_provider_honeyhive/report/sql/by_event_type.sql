-- One row for each type of event, the most frequent first.
CREATE TABLE by_event_type AS
SELECT
    named(event_type) AS event_type,
    count(*) AS events,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / count(*) AS error_rate,
    sum(cost) FILTER (counts_cost) AS cost,
    total(if(counts_tokens, input_tokens, NULL)) AS input_tokens,
    total(if(counts_tokens, output_tokens, NULL)) AS output_tokens,
    total(if(counts_tokens, total_tokens, NULL)) AS total_tokens,
    quantile_cont(duration_ms, 0.5) AS p50_ms,
    quantile_cont(duration_ms, 0.9) AS p90_ms,
    quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms
FROM events
GROUP BY 1
ORDER BY events DESC, event_type;
