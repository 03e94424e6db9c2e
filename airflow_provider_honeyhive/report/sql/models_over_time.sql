-- One row for each model and step of time in which it was called; without a name: what other events add.
CREATE TABLE models_over_time AS
SELECT
    zoned(time_bucket(step, started)) AS time,
    model,
    count(*) FILTER (is_call) AS calls,
    count(*) FILTER (failed) AS errors,
    sum(cost) AS cost,
    total(input_tokens) AS input_tokens,
    total(output_tokens) AS output_tokens,
    total(total_tokens) AS total_tokens
FROM usage, report_window
WHERE started >= window_start AND started < window_end
GROUP BY 1, 2
ORDER BY time, model NULLS LAST;
