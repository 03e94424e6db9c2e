-- The window, and how long a step of the charts over time is: at most 48 steps, or the longest ones.
CREATE TEMP TABLE report_window AS
WITH bounds AS (
    SELECT
        coalesce(utc(CAST($start_time AS TIMESTAMPTZ)), min(utc(start_time))) AS window_start,
        coalesce(utc(CAST($end_time AS TIMESTAMPTZ)), max(utc(start_time)) + INTERVAL 1 MICROSECOND) AS window_end
    FROM events
),
steps AS (
    SELECT unnest($steps) AS seconds
)
SELECT
    window_start,
    window_end,
    to_seconds(
        coalesce(
            (SELECT min(seconds) FROM steps WHERE 48 * seconds >= epoch(window_end - window_start)),
            (SELECT max(seconds) FROM steps)
        )
    ) AS step
FROM bounds;
