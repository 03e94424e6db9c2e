-- Of equal conversations the first one, with the ids of all of them.
CREATE OR REPLACE TABLE kept AS
WITH numbered AS (
    SELECT
        place,
        event_id,
        digest,
        row_number() OVER (PARTITION BY digest ORDER BY start_time NULLS LAST, place) AS number
    FROM conversations JOIN calls USING (place)
    WHERE reason IS NULL
),
repeated AS (
    SELECT digest, list(event_id ORDER BY number) AS event_ids
    FROM numbered
    WHERE digest IN (SELECT digest FROM numbered WHERE number = 2)
    GROUP BY digest
)
SELECT place, coalesce(event_ids, [event_id]) AS event_ids
FROM numbered LEFT JOIN repeated USING (digest)
WHERE number = 1
