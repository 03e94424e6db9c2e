SET TimeZone = 'UTC';

-- A finite number out of JSON, also one that is written as text; NULL where there is none.
CREATE MACRO number_in(json, path) AS
    CASE WHEN isfinite(TRY_CAST(TRY(json ->> path) AS DOUBLE)) THEN TRY_CAST(TRY(json ->> path) AS DOUBLE) END;

-- Times in UTC without a zone, so that nothing depends on the session's time zone.
CREATE MACRO utc(instant) AS make_timestamp(epoch_us(instant));

-- And back: what the tables have, like the exported files.
CREATE MACRO zoned(instant) AS make_timestamptz(epoch_us(instant));

-- Sessions and chains may carry the sums of what happened below them, which would be counted twice.
CREATE MACRO has_own_usage(type) AS coalesce(type NOT IN ('session', 'chain'), true);
