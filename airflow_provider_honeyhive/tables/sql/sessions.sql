-- A row for each session. Its times, counts and sums are those of its events that were exported.
WITH told AS (
    SELECT
        facts.*,
        coalesce(total_tokens IS NOT NULL AND NOT tokens_below, false) AS counts_tokens,
        coalesce(cost IS NOT NULL AND NOT cost_below, false) AS counts_cost
    FROM facts JOIN tree USING (event_number)
    WHERE session_id IS NOT NULL
),
grouped AS (
    SELECT
        session_id,
        min(event_number) AS first_number,
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
),
root_scores AS (
    SELECT
        place,
        list({'name': name, 'number': number, 'boolean': boolean, 'text': text} ORDER BY name, source) AS scores
    FROM found_scores
    WHERE NOT is_measurement AND session_id IS NOT NULL
    GROUP BY place
)
SELECT
    grouped.session_id,
    coalesce(root.project, grouped.project) AS project,
    coalesce(root.project_id, grouped.project_id) AS project_id,
    coalesce(root.source, grouped.source) AS source,
    coalesce(root.user_id, grouped.user_id) AS user_id,
    grouped.start_time,
    grouped.end_time,
    milliseconds_between(grouped.start_time, grouped.end_time) AS duration_ms,
    root.event_number IS NOT NULL AS has_root,
    event_count,
    model_count,
    tool_count,
    chain_count,
    error_count,
    grouped.input_tokens,
    grouped.output_tokens,
    grouped.total_tokens,
    CAST(CAST(grouped.cost AS VARCHAR) AS DOUBLE) AS cost,
    coalesce(models, []) AS models,
    questions.text AS first_question,
    answers.text AS last_answer,
    coalesce(root_scores.scores, []) AS scores
FROM grouped
LEFT JOIN roots ON roots.session_id = grouped.session_id
LEFT JOIN facts AS root ON root.event_number = roots.root_number
LEFT JOIN root_scores ON root_scores.place = root.place
LEFT JOIN questions ON questions.session_id = grouped.session_id
LEFT JOIN answers ON answers.session_id = grouped.session_id
ORDER BY grouped.first_number
