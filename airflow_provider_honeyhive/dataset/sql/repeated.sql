-- The ids of all calls with one conversation, where there are several.
CREATE OR REPLACE TABLE repeated AS
SELECT digest, list(event_id ORDER BY number) AS event_ids
FROM numbered JOIN calls USING (place)
WHERE digest IN (SELECT digest FROM numbered WHERE number = 2)
GROUP BY digest
