-- A prediction in one row: the model, the images, the arguments, and what was seen.
SELECT
    predictions.job_id,
    models.name AS model,
    models.version AS model_version,
    predictions.folder,
    predictions.images,
    predictions.unreadable,
    predictions.limited,
    predictions.detections,
    predictions.imgsz,
    predictions.conf,
    predictions.iou,
    predictions.max_det,
    predictions.device,
    predictions.seconds
FROM predictions
JOIN models ON models.id = predictions.model_id
