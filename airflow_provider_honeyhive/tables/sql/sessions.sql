-- A row for each session. Its times, counts and sums are those of its events that were exported.
SELECT
    grouped.session_id,
    coalesce(root.project, grouped.project) AS project,
    coalesce(root.project_id, grouped.project_id) AS project_id,
    coalesce(root.source, grouped.source) AS source,
    coalesce(root.user_id, grouped.user_id) AS user_id,
    grouped.start_time,
    grouped.end_time,
    milliseconds_between(grouped.start_time, grouped.end_time) AS duration_ms,
    root_place IS NOT NULL AS has_root,
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
    coalesce(scores, []) AS scores
FROM grouped
LEFT JOIN roots ON roots.session_id = grouped.session_id
LEFT JOIN facts AS root ON root.place = roots.root_place
LEFT JOIN root_scores ON root_scores.session_id = grouped.session_id
LEFT JOIN questions ON questions.session_id = grouped.session_id
LEFT JOIN answers ON answers.session_id = grouped.session_id
WHERE is_here(grouped.place)
ORDER BY grouped.place
