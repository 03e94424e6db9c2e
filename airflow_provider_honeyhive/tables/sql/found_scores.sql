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
-- Explanations after what they explain: `X_explanation` after `X`; in feedback, `explanation` and `comment` after
-- `rating`.
sorted AS (
    SELECT
        * EXCLUDE (members),
        list_sort(
            list_transform(
                members,
                lambda member, number: {
                    'explained': CASE
                        WHEN ends_with(member.name, '_explanation') THEN left(member.name, -length('_explanation'))
                        WHEN source = 'feedback' AND member.name IN ('explanation', 'comment') THEN 'rating'
                        ELSE member.name
                    END,
                    'rank': CASE
                        WHEN ends_with(member.name, '_explanation') THEN 1
                        WHEN source = 'feedback' AND member.name = 'explanation' THEN 1
                        WHEN source = 'feedback' AND member.name = 'comment' THEN 2
                        ELSE 0
                    END,
                    'name': member.name,
                    'number': number,
                    'value': member.value
                }
            )
        ) AS members
    FROM found
    WHERE len(members) > 0
),
-- The first of each name.
named AS (
    SELECT
        * EXCLUDE (members),
        list_transform(
            list_filter(with_neighbours(members), lambda three: three[1].name IS DISTINCT FROM three[2].name),
            lambda three: three[2]
        ) AS members
    FROM sorted
),
-- Without the explanations that stand directly after what they explain.
paired AS (
    SELECT
        * EXCLUDE (members),
        unnest(
            list_transform(
                list_filter(with_neighbours(members), lambda three: NOT explains(three[2], three[1])),
                lambda three: {
                    'name': three[2].name,
                    'value': three[2].value,
                    'explanation': CASE WHEN explains(three[3], three[2]) THEN three[3].value ->> '$' END
                }
            ),
            recursive := true
        )
    FROM named
),
scored AS (
    SELECT
        * EXCLUDE (value, explanation),
        coalesce(score_in(value), value) AS value,
        coalesce(explanation_in(value), explanation) AS explanation,
        time_in(value) AS scored_at
    FROM paired
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
    * EXCLUDE (text),
    CASE WHEN number IS NULL AND boolean IS NULL THEN text END AS text,
    source = 'metrics' AND number IS NOT NULL
    AND regexp_full_match(name, getvariable('measurement_names'), 'is') AS is_measurement
FROM typed
