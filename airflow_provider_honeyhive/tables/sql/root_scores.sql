-- A step on the way: the scores of each session's root.
SELECT
    roots.session_id,
    list({'name': name, 'number': number, 'boolean': boolean, 'text': text} ORDER BY name, found_scores.source)
        AS scores
FROM roots
JOIN found_scores ON place = root_place
WHERE NOT is_measurement AND is_here(place)
GROUP BY roots.session_id
