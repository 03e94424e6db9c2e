-- One row for each evaluator that gave scores, the busiest first.
CREATE TABLE by_evaluator AS
SELECT
    evaluator,
    bool_and(is_boolean) AS is_boolean,
    count(*) AS scores,
    avg(score) AS mean,
    min(score) AS lowest,
    quantile_cont(score, 0.5) AS median,
    max(score) AS highest
FROM scores
GROUP BY evaluator
ORDER BY scores DESC, evaluator;
