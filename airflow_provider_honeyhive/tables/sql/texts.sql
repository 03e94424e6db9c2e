-- A step on the way: the first text of each session that has one, by rank.
WITH firsts AS (
    SELECT session_id, min(rank) AS rank FROM texts WHERE text IS NOT NULL GROUP BY session_id
)
SELECT session_id, text FROM texts JOIN firsts USING (session_id, rank)
