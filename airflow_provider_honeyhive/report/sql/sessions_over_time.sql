-- One row for each step of time in which sessions began.
CREATE TABLE sessions_over_time AS
SELECT
    zoned(time_bucket(step, utc(start_time))) AS time,
    count(*) AS sessions,
    count(*) FILTER (error_count > 0) AS sessions_with_errors
FROM sessions, report_window
WHERE utc(start_time) >= window_start AND utc(start_time) < window_end
GROUP BY 1
ORDER BY time;
