-- Equal conversations, the first one of each with number 1.
CREATE OR REPLACE TABLE numbered AS
SELECT place, digest, size, row_number() OVER (PARTITION BY digest ORDER BY start_time NULLS LAST, place) AS number
FROM conversations JOIN calls USING (place)
WHERE reason IS NULL
