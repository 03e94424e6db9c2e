-- One row for each event: the few facts that the report is about. What was said, inputs and outputs, is not read.
CREATE TEMP TABLE events AS
WITH facts AS (
    SELECT
        nullif(session_id, '') AS session_id,
        source,
        coalesce(nullif(event_type, ''), 'unknown') AS event_type,
        utc(start_time) AS started,
        utc(end_time) AS ended,
        -- A duration or an error that does not fit its column is in extra.
        coalesce(
            duration, number_in(extra, '$.duration'), (epoch_us(end_time) - epoch_us(start_time)) / 1000.0
        ) AS latency_ms,
        coalesce(error, TRY(extra ->> '$.error'), '') NOT IN ('', 'null', 'false', '{}', '[]') AS failed,
        -- An agent's event carries the sums of the model calls below it, whatever its type.
        has_own_usage(event_type)
        AND coalesce(TRY(metadata ->> '$.operation_name'), '') != 'invoke_agent' AS has_own_usage,
        nullif(TRY(config ->> '$.provider'), '') AS provider,
        coalesce(
            nullif(TRY(config ->> '$.model'), ''),
            if(event_type = 'model', coalesce(nullif(TRY(metadata ->> '$.model_name'), ''), 'unknown'), NULL)
        ) AS model,
        number_in(metadata, '$.cost') AS cost,
        coalesce(number_in(metadata, '$.prompt_tokens'), number_in(metadata, '$.input_tokens')) AS prompt_tokens,
        coalesce(
            number_in(metadata, '$.completion_tokens'), number_in(metadata, '$.output_tokens')
        ) AS completion_tokens,
        number_in(metadata, '$.total_tokens') AS total_tokens
    FROM exported
)
SELECT
    session_id,
    source,
    event_type,
    started,
    greatest(ended, started) AS ended,
    if(isfinite(latency_ms) AND latency_ms >= 0, latency_ms, NULL) AS latency_ms,
    failed,
    if(has_own_usage, provider, NULL) AS provider,
    if(has_own_usage, model, NULL) AS model,
    if(has_own_usage, cost, NULL) AS cost,
    if(has_own_usage, prompt_tokens, NULL) AS prompt_tokens,
    if(has_own_usage, completion_tokens, NULL) AS completion_tokens,
    -- NULL only where no number of tokens is known at all.
    if(
        has_own_usage,
        coalesce(total_tokens, prompt_tokens + completion_tokens, prompt_tokens, completion_tokens),
        NULL
    ) AS total_tokens
FROM facts;
