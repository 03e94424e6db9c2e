-- One row for each name of scores and step of time in which events began that have one.
CREATE TABLE scores_over_time AS
SELECT
    zoned(time_bucket(step, utc(start_time))) AS time,
    source,
    name,
    count(number) AS numbers,
    avg(number) AS mean,
    min(number) AS lowest,
    max(number) AS highest,
    count(boolean) AS booleans,
    count(*) FILTER (boolean) / nullif(count(boolean), 0) AS true_share
FROM scores, report_window
WHERE utc(start_time) >= window_start AND utc(start_time) < window_end
GROUP BY 1, 2, 3
ORDER BY time, name, source;
