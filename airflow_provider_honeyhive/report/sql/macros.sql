-- Times in UTC without a zone, so that nothing depends on the session's time zone.
CREATE MACRO utc(instant) AS make_timestamp(epoch_us(instant));

-- And back: what the tables have.
CREATE MACRO zoned(instant) AS make_timestamptz(epoch_us(instant));

-- A sum of whole numbers as a whole number; NULL where there is none.
CREATE MACRO total(number) AS TRY_CAST(sum(number) AS BIGINT);

-- What stands for a name that is not known.
CREATE MACRO named(name) AS coalesce(nullif(name, ''), 'unknown');

-- The median, and the 90th, 95th and 99th percentile, which together take the memory of one.
CREATE MACRO percentiles(number) AS quantile_cont(number, [0.5, 0.9, 0.95, 0.99]);
