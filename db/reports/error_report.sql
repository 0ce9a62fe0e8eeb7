-- Each kind of error that a model makes in an evaluation or a comparison: how often, at the
-- confidence of the highest mean F1, and what mAP50 would gain if it made none of that kind.
-- Order: position, map50_cost DESC, kind
SELECT
    evaluation_errors.job_id,
    0 AS position,
    models.name AS model,
    models.version AS model_version,
    evaluation_errors.kind,
    evaluation_errors.count,
    evaluation_errors.map50_cost
FROM evaluation_errors
JOIN evaluations ON evaluations.job_id = evaluation_errors.job_id
JOIN models ON models.id = evaluations.model_id
UNION ALL
SELECT
    comparison_errors.job_id,
    comparison_errors.position,
    models.name AS model,
    models.version AS model_version,
    comparison_errors.kind,
    comparison_errors.count,
    comparison_errors.map50_cost
FROM comparison_errors
JOIN comparison_models
    ON comparison_models.job_id = comparison_errors.job_id
    AND comparison_models.position = comparison_errors.position
JOIN models ON models.id = comparison_models.model_id
