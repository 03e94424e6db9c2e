-- One row for each model call, and for each other event that adds cost or tokens: those have no model.
CREATE TEMP VIEW usage AS
SELECT
    utc(start_time) AS started,
    true AS is_call,
    named(model) AS model,
    provider,
    latency_ms,
    time_to_first_token_ms,
    failed,
    if(counts_cost, cost, NULL) AS cost,
    if(counts_tokens, input_tokens, NULL) AS input_tokens,
    if(counts_tokens, output_tokens, NULL) AS output_tokens,
    if(counts_tokens, total_tokens, NULL) AS total_tokens
FROM model_calls
UNION ALL
SELECT
    utc(start_time),
    false,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    if(counts_cost, cost, NULL),
    if(counts_tokens, input_tokens, NULL),
    if(counts_tokens, output_tokens, NULL),
    if(counts_tokens, total_tokens, NULL)
FROM events
WHERE event_type IS DISTINCT FROM 'model' AND ((counts_cost AND cost > 0) OR (counts_tokens AND total_tokens > 0));
