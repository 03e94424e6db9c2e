-- A step on the way: what is counted and summed over the events of each session.
WITH told AS (
    SELECT
        facts.*,
        coalesce(total_tokens IS NOT NULL AND NOT tokens_below, false) AS counts_tokens,
        coalesce(cost IS NOT NULL AND NOT cost_below, false) AS counts_cost
    FROM facts JOIN tree USING (place)
    WHERE session_id IS NOT NULL
)
SELECT
    session_id,
    min(place) AS place,
    min(project) AS project,
    min(project_id) AS project_id,
    min(source) AS source,
    min(user_id) AS user_id,
    min(start_time) AS start_time,
    max(greatest(start_time, end_time)) AS end_time,
    count(*) AS event_count,
    count(*) FILTER (event_type = 'model') AS model_count,
    count(*) FILTER (event_type = 'tool') AS tool_count,
    count(*) FILTER (event_type = 'chain') AS chain_count,
    count(*) FILTER (failed) AS error_count,
    TRY_CAST(sum(input_tokens) FILTER (counts_tokens) AS BIGINT) AS input_tokens,
    TRY_CAST(sum(output_tokens) FILTER (counts_tokens) AS BIGINT) AS output_tokens,
    TRY_CAST(sum(total_tokens) FILTER (counts_tokens) AS BIGINT) AS total_tokens,
    -- Exact, so that the sum does not depend on the order.
    sum(CAST(CAST(cost AS VARCHAR) AS DECIMAL(38, 12))) FILTER (counts_cost) AS cost,
    list_sort(list(DISTINCT model) FILTER (model IS NOT NULL)) AS models
FROM told
GROUP BY session_id
