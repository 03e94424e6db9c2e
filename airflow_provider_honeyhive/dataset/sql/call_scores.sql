-- The scores of some calls: of each name that of the call itself, else that of its session's root. Where several say
-- one name, metrics count more than evaluations, and these more than feedback.
INSERT INTO call_scores
WITH wanted AS (
    SELECT place, event_id, session_id FROM calls WHERE place % $parts = $part
),
told AS (
    SELECT wanted.place, scores.name, scores.number, scores.boolean, scores.text, scores.source, 0 AS distance
    FROM wanted JOIN scores ON scores.event_id = wanted.event_id
    UNION ALL
    SELECT wanted.place, scores.name, scores.number, scores.boolean, scores.text, scores.source, 1 AS distance
    FROM wanted JOIN scores ON scores.event_id = wanted.session_id
    WHERE wanted.event_id <> wanted.session_id
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
