-- One row for each evaluator and step of time in which events began that it scored.
CREATE TABLE evaluators_over_time AS
SELECT
    zoned(time_bucket(step, started)) AS time,
    evaluator,
    count(*) AS scores,
    avg(score) AS mean,
    min(score) AS lowest,
    max(score) AS highest
FROM scores, report_window
WHERE started IS NOT NULL
GROUP BY ALL
ORDER BY time, evaluator;
