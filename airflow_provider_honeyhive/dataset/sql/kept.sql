-- Of equal conversations the first one, in the order of the rows; each row belongs to a slice of them.
CREATE OR REPLACE TABLE kept AS
SELECT place, digest, sum(size) OVER (ORDER BY start_time NULLS LAST, place) // getvariable('slice_bytes') AS slice
FROM numbered JOIN calls USING (place)
WHERE number = 1
