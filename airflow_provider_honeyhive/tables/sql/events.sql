-- A row for each event, with what is known of it in columns of their own.
SELECT
    event_id,
    session_id,
    parent_id,
    project,
    project_id,
    source,
    event_type,
    event_name,
    start_time,
    end_time,
    duration_ms,
    failed,
    error,
    operation,
    model,
    provider,
    input_tokens,
    output_tokens,
    total_tokens,
    cost,  -- US dollars
    -- Whether sums have to add its tokens, or its cost: those of events below it are not in events above them as well.
    coalesce(total_tokens IS NOT NULL AND NOT tokens_below, false) AS counts_tokens,
    coalesce(cost IS NOT NULL AND NOT cost_below, false) AS counts_cost,
    user_id,
    trace_id,
    span_id,
    export_number
FROM facts JOIN tree USING (place)
WHERE is_here(place)
ORDER BY place
