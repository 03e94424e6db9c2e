-- One row for each name of scores and where they are from, the most frequent first. Texts are only counted.
CREATE TABLE by_score AS
SELECT
    source,
    name,
    count(*) AS scores,
    count(number) AS numbers,
    avg(number) AS mean,
    min(number) AS lowest,
    quantile_cont(number, 0.5) AS median,
    max(number) AS highest,
    count(boolean) AS booleans,
    count(*) FILTER (boolean) / nullif(count(boolean), 0) AS true_share,
    count(*) FILTER (number IS NULL AND boolean IS NULL) AS texts
FROM scores
GROUP BY source, name
ORDER BY scores DESC, name, source;
