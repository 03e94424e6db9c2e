-- The scores of some calls: of each name that of the call itself, else that of its session's root. Where several say
-- one name, metrics count more than evaluations, and these more than feedback.
INSERT INTO call_scores
WITH wanted AS (
    SELECT calls.place, nullif(root_place, calls.place) AS root_place
    FROM calls LEFT JOIN roots USING (session_id)
    WHERE calls.place % $parts = $part
),
told AS (
    SELECT wanted.place, scores.name, scores.number, scores.boolean, scores.text, scores.source, 0 AS distance
    FROM wanted JOIN found_scores AS scores ON scores.place = wanted.place
    WHERE NOT is_measurement
    UNION ALL
    SELECT wanted.place, scores.name, scores.number, scores.boolean, scores.text, scores.source, 1 AS distance
    FROM wanted JOIN found_scores AS scores ON scores.place = root_place
    WHERE NOT is_measurement
),
nearest AS (
    SELECT
        place,
        name,
        arg_min(
            {'name': name, 'number': number, 'boolean': boolean, 'text': text},
            10 * distance + list_position(['metrics', 'evaluations', 'feedback'], source)
        ) AS score
    FROM told
    GROUP BY place, name
)
SELECT place, list(score ORDER BY name) AS scores FROM nearest GROUP BY place
