-- A row for each session. Its times, counts and sums are those of its events that were exported.
WITH here AS (
    SELECT * FROM grouped WHERE is_here(place)
),
roots_here AS (
    SELECT roots.session_id, project, project_id, source, user_id
    FROM facts
    JOIN (SELECT * FROM roots SEMI JOIN here USING (session_id)) AS roots ON place = root_place
)
SELECT
    here.session_id,
    coalesce(roots_here.project, here.project) AS project,
    coalesce(roots_here.project_id, here.project_id) AS project_id,
    coalesce(roots_here.source, here.source) AS source,
    coalesce(roots_here.user_id, here.user_id) AS user_id,
    here.start_time,
    here.end_time,
    milliseconds_between(here.start_time, here.end_time) AS duration_ms,
    roots_here.session_id IS NOT NULL AS has_root,
    event_count,
    model_count,
    tool_count,
    chain_count,
    error_count,
    here.input_tokens,
    here.output_tokens,
    here.total_tokens,
    CAST(CAST(here.cost AS VARCHAR) AS DOUBLE) AS cost,
    coalesce(models, []) AS models,
    questions.text AS first_question,
    answers.text AS last_answer,
    coalesce(scores, []) AS scores
FROM here
LEFT JOIN roots_here ON roots_here.session_id = here.session_id
LEFT JOIN (SELECT * FROM root_scores SEMI JOIN here USING (session_id)) AS root_scores
    ON root_scores.session_id = here.session_id
LEFT JOIN (SELECT * FROM questions SEMI JOIN here USING (session_id)) AS questions
    ON questions.session_id = here.session_id
LEFT JOIN (SELECT * FROM answers SEMI JOIN here USING (session_id)) AS answers
    ON answers.session_id = here.session_id
ORDER BY here.place
