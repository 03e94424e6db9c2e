-- The lowest scores, false as 0, at most 100: the lowest one of each name, then the next one of each, and so on. Of names
-- whose scores are all alike there is none.
CREATE TABLE lowest_scores AS
SELECT
    name,
    source,
    value,
    avg(value) OVER names AS mean,
    event_id,
    session_id,
    event_name,
    start_time
FROM (SELECT *, coalesce(number, CAST(boolean AS DOUBLE)) AS value FROM scores)
WHERE value IS NOT NULL
WINDOW names AS (PARTITION BY source, name)
QUALIFY value < max(value) OVER names
ORDER BY
    row_number() OVER (PARTITION BY source, name ORDER BY value, start_time DESC NULLS LAST, event_id, session_id),
    name,
    source
LIMIT 100;
