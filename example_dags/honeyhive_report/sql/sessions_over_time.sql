-- One row for each step of time in which sessions began.
CREATE TABLE sessions_over_time AS
SELECT
    zoned(time_bucket(step, utc(started))) AS time,
    count(*) AS sessions,
    count(*) FILTER (errors > 0) AS sessions_with_errors
FROM sessions, report_window
WHERE started IS NOT NULL
GROUP BY ALL
ORDER BY time;
