-- A step on the way: the first and the last place of so many events that a file of a table is made of.
SELECT
    min(place),
    max(place)
FROM (
    SELECT
        place,
        (row_number() OVER (ORDER BY place) - 1) // $1 AS part
    FROM exported
)
GROUP BY part
ORDER BY part
