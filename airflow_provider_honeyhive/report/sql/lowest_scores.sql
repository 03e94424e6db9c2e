-- The lowest scores of the 100 most frequent names whose scores differ, false as 0, at most 100: the lowest one of each
-- name, then the next one of each, and so on; of equal ones the newest first. The highest of a name is not among them.
CREATE TABLE lowest_scores AS
WITH names AS (
    SELECT source, name
    FROM by_score
    WHERE lowest < highest OR (true_share > 0 AND true_share < 1) OR (numbers > 0 AND booleans > 0)
    ORDER BY scores DESC, name, source
    LIMIT 100
),
lowest AS (
    SELECT
        name,
        source,
        avg(value) AS mean,
        max(value) AS highest,
        -- Compared member by member. Needs no sorting of all scores, but memory for each name.
        min(
            {
                'value': value,
                'age': -epoch_us(start_time),
                'event_id': event_id,
                'session_id': session_id,
                'event_name': event_name
            },
            100
        ) AS scores
    FROM (SELECT *, coalesce(number, CAST(boolean AS DOUBLE)) AS value FROM scores SEMI JOIN names USING (source, name))
    WHERE value IS NOT NULL
    GROUP BY name, source
),
ranked AS (
    SELECT name, source, mean, highest, unnest(scores, recursive := true), generate_subscripts(scores, 1) AS rank
    FROM lowest
)
SELECT name, source, value, mean, event_id, session_id, event_name, make_timestamptz(-age) AS start_time
FROM ranked
WHERE value < highest
ORDER BY rank, name, source
LIMIT 100;
