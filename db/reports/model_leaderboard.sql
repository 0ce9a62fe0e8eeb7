-- The best evaluation of each model on each split of each data set, by mAP50-95 (the newest of
-- equal ones), and the model's rank there, among those that were measured on the same classes: of as
-- many, with as many objects; times are milliseconds per image.
-- Order: dataset, dataset_content, split, classes DESC, instances DESC, rank, model, model_version
SELECT
    best.job_id,
    datasets.name AS dataset,
    SUBSTR(datasets.sha256, 1, 12) AS dataset_content,
    best.split,
    RANK() OVER (
        PARTITION BY best.dataset_id, best.split, measured.classes, best.instances
        ORDER BY best.map50_95 DESC
    ) AS rank,
    models.name AS model,
    models.version AS model_version,
    models.stage,
    best.map50_95,
    best.map50,
    best.precision,
    best.recall,
    best.f1,
    best.best_confidence,
    best.imgsz,
    measured.classes,
    best.images,
    best.instances,
    best.preprocess_ms + best.inference_ms + best.postprocess_ms AS image_ms,
    best.device,
    models.parameters,
    jobs.ended_at AS evaluated_at
FROM (
    SELECT
        evaluations.*,
        ROW_NUMBER() OVER (
            PARTITION BY model_id, dataset_id, split ORDER BY map50_95 DESC, job_id DESC
        ) AS place
    FROM evaluations
) AS best
JOIN (
    SELECT job_id, COUNT(*) AS classes FROM evaluation_classes WHERE instances > 0 GROUP BY job_id
) AS measured ON measured.job_id = best.job_id
JOIN models ON models.id = best.model_id
JOIN datasets ON datasets.id = best.dataset_id
JOIN jobs ON jobs.id = best.job_id
WHERE best.place = 1
