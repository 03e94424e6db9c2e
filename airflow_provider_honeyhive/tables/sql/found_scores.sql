-- A step on the way: what evaluators and people said of events, one row for each thing, before scores and measurements
-- are told apart. All of it is worked out within the row of one event, so that it takes little memory.
WITH found AS (
    SELECT
        place,
        nullif(event_id, '') AS event_id,
        nullif(session_id, '') AS session_id,
        event_type,
        event_name,
        start_time,
        unnest(['metrics', 'evaluations', 'feedback']) AS source,
        unnest([all_members_of(metrics), all_members_of(evaluations), all_members_of(feedback)]) AS members
    FROM exported
    WHERE length(metrics) > 2 OR length(evaluations) > 2 OR length(feedback) > 2
),
-- Sorted so that explanations follow what they explain: `X_explanation` follows `X`; in feedback, `explanation` and
-- `comment` follow `rating`. Of a name that comes twice, the first is next to the other kind.
sorted AS (
    SELECT
        * EXCLUDE (members),
        list_sort(
            list_transform(
                members,
                lambda member, number: CASE
                    WHEN ends_with(member.name, '_explanation') THEN {
                        'explained': left(member.name, -length('_explanation')),
                        'rank': 1, 'name': member.name, 'number': number, 'value': member.value
                    }
                    WHEN source = 'feedback' AND member.name IN ('explanation', 'comment') THEN {
                        'explained': 'rating',
                        'rank': if(member.name = 'comment', 2, 1),
                        'name': member.name, 'number': number, 'value': member.value
                    }
                    ELSE {
                        'explained': member.name,
                        'rank': 0, 'name': member.name, 'number': -number, 'value': member.value
                    }
                END
            )
        ) AS members
    FROM found
    WHERE len(members) > 0
),
-- Each with the one before it and the one after it.
neighbours AS (
    SELECT
        * EXCLUDE (members),
        unnest([no_member()] || members[:-2]) AS before,
        unnest(members) AS member,
        unnest(members[2:] || [no_member()]) AS after
    FROM sorted
),
-- Without the explanations that follow what they explain, and without repeated names.
paired AS (
    SELECT
        * EXCLUDE (before, member, after),
        member.name AS name,
        member.value AS value,
        CASE WHEN explains(after, member) THEN after.value ->> '$' END AS explanation
    FROM neighbours
    WHERE
        NOT explains(member, before)
        AND member.name IS DISTINCT FROM CASE member.rank WHEN 0 THEN after.name ELSE before.name END
),
read AS (
    SELECT
        *,
        CASE
            WHEN left(value, 1) = '{' THEN json_transform(value, '{
                "score": "JSON", "value": "JSON", "rating": "JSON",
                "explanation": "JSON", "reason": "JSON", "comment": "JSON",
                "timestamp": "JSON", "scored_at": "JSON", "evaluated_at": "JSON", "created_at": "JSON",
                "updated_at": "JSON"
            }')
        END AS score
    FROM paired
),
scored AS (
    SELECT
        * EXCLUDE (value, explanation, score),
        coalesce(told(score.score), told(score.value), told(score.rating), value) AS value,
        coalesce(text_of(score.explanation), text_of(score.reason), text_of(score.comment), explanation) AS explanation,
        coalesce(
            time_of(text_of(score.timestamp)), time_of(text_of(score.scored_at)), time_of(text_of(score.evaluated_at)),
            time_of(text_of(score.created_at)), time_of(text_of(score.updated_at))
        ) AS scored_at
    FROM read
),
typed AS (
    SELECT
        * EXCLUDE (value),
        CASE left(value, 1) WHEN 't' THEN true WHEN 'f' THEN false END AS boolean,
        CASE WHEN left(value, 1) NOT IN ('t', 'f', '[', '{') THEN number_of(value ->> '$') END AS number,
        value ->> '$' AS text
    FROM scored
)
SELECT
    * REPLACE (CASE WHEN number IS NULL AND boolean IS NULL THEN text END AS text),
    source = 'metrics' AND number IS NOT NULL AND regexp_full_match(name, getvariable('measurement_names'), 'is')
        AS is_measurement
FROM typed
