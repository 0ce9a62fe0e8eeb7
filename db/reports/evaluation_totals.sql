-- An evaluation in one row: the model, the images, the arguments, how often it was right at the
-- confidence of the highest mean F1, and milliseconds per image.
SELECT
    evaluations.job_id,
    models.name AS model,
    models.version AS model_version,
    datasets.name AS dataset,
    SUBSTR(datasets.sha256, 1, 12) AS dataset_content,
    evaluations.split,
    evaluations.images,
    evaluations.instances,
    evaluations.imgsz,
    evaluations.batch,
    evaluations.conf,
    evaluations.iou,
    evaluations.max_det,
    evaluations.device,
    evaluations.best_confidence,
    evaluations.true_positives,
    evaluations.false_positives,
    evaluations.false_negatives,
    evaluations.preprocess_ms,
    evaluations.inference_ms,
    evaluations.postprocess_ms
FROM evaluations
JOIN models ON models.id = evaluations.model_id
JOIN datasets ON datasets.id = evaluations.dataset_id
