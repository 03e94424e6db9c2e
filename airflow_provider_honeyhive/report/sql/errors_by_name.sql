-- One row for each name of events of which some failed, those with the most errors first; at most 100.
CREATE TABLE errors_by_name AS
SELECT
    named(event_name) AS event_name,
    named(event_type) AS event_type,
    count(*) AS events,
    count(*) FILTER (failed) AS errors,
    count(*) FILTER (failed) / count(*) AS error_rate
FROM events
GROUP BY 1, 2
HAVING count(*) FILTER (failed) > 0
ORDER BY errors DESC, event_name, event_type
LIMIT 100;
