-- What an export without events, which has no file, would hold: the columns that the report reads.
CREATE TEMP VIEW exported AS
SELECT
    NULL::VARCHAR AS session_id,
    NULL::VARCHAR AS source,
    NULL::VARCHAR AS event_type,
    NULL::TIMESTAMPTZ AS start_time,
    NULL::TIMESTAMPTZ AS end_time,
    NULL::DOUBLE AS duration,
    NULL::VARCHAR AS error,
    NULL::VARCHAR AS config,
    NULL::VARCHAR AS metadata,
    NULL::VARCHAR AS metrics,
    NULL::VARCHAR AS extra
WHERE false;
