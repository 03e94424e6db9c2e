-- One row for each model and step of time in which it was called.
CREATE TABLE models_over_time AS
SELECT
    zoned(time_bucket(step, started)) AS time,
    model,
    count(*) AS calls,
    count(*) FILTER (failed) AS errors,
    sum(cost) AS cost,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(total_tokens) AS total_tokens
FROM events, report_window
WHERE model IS NOT NULL AND started IS NOT NULL
GROUP BY ALL
ORDER BY time, model;
