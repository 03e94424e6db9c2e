-- One row for each score that an evaluator gave: numbers as they are, true as 1 and false as 0. Texts, such as the
-- explanations of scores, are left out, and so is what clients measure themselves and write beside the scores.
CREATE TEMP TABLE scores AS
SELECT
    utc(exported.start_time) AS started,
    score.key AS evaluator,
    score.type = 'BOOLEAN' AS is_boolean,
    if(score.type = 'BOOLEAN', CAST(score.atom = 'true' AS DOUBLE), CAST(score.atom AS DOUBLE)) AS score
FROM exported, json_each(if(TRY(json_type(exported.metrics)) = 'OBJECT', exported.metrics, NULL)) AS score
WHERE
    score.type IN ('BOOLEAN', 'BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')
    AND score.key NOT IN ('time_to_first_token_ms')
    AND (score.type = 'BOOLEAN' OR coalesce(isfinite(TRY_CAST(score.atom AS DOUBLE)), false));
