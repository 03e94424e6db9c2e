-- The model calls that may become rows, each with its place among the events. An event without an id has none: nobody
-- could find it again.
CREATE OR REPLACE TABLE calls AS
SELECT model_calls.*, exported.place, exported.export_number
FROM model_calls JOIN exported USING (event_id)
