-- The window, and how long a step of the charts over time is: at most 48 steps, or the longest ones.
CREATE TEMP TABLE report_window AS
WITH bounds AS (
    SELECT
        coalesce(utc(CAST($start_time AS TIMESTAMPTZ)), min(started)) AS start_time,
        coalesce(utc(CAST($end_time AS TIMESTAMPTZ)), max(started) + INTERVAL 1 MICROSECOND) AS end_time
    FROM events
),
steps AS (
    SELECT unnest($steps) AS seconds
)
SELECT
    start_time,
    end_time,
    to_seconds(
        coalesce(
            (SELECT min(seconds) FROM steps WHERE 48 * seconds >= epoch(end_time - start_time)),
            (SELECT max(seconds) FROM steps)
        )
    ) AS step
FROM bounds;
