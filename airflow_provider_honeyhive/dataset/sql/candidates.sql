-- What a condition may speak of: all columns of model_calls, what is JSON, and scores by their names.
CREATE OR REPLACE TEMP VIEW candidates AS
SELECT
    calls.*,
    TRY_CAST(exported.config AS JSON) AS config,
    TRY_CAST(exported.metadata AS JSON) AS metadata,
    TRY_CAST(exported.user_properties AS JSON) AS user_properties,
    map_from_entries(
        list_transform(
            list_filter(
                coalesce(call_scores.scores, []),
                lambda score: score.number IS NOT NULL OR score.boolean IS NOT NULL
            ),
            lambda score: {'key': score.name, 'value': coalesce(score.number, CAST(score.boolean AS DOUBLE))}
        )
    ) AS scores,
    map_from_entries(
        list_transform(
            list_filter(coalesce(call_scores.scores, []), lambda score: score.text IS NOT NULL),
            lambda score: {'key': score.name, 'value': score.text}
        )
    ) AS score_texts
FROM calls JOIN exported USING (place) LEFT JOIN call_scores USING (place)
