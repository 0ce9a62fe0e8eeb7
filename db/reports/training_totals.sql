-- A training that succeeded, in one row: what it made, from what, and how long it took.
SELECT
    trainings.job_id,
    models.name AS model,
    models.version AS model_version,
    trainings.base,
    datasets.name AS dataset,
    SUBSTR(datasets.sha256, 1, 12) AS dataset_content,
    trainings.device,
    trainings.batch,
    trainings.epochs,
    trainings.epochs_run,
    trainings.best_epoch,
    CASE WHEN trainings.stopped_early THEN 1 ELSE 0 END AS stopped_early,
    trainings.seconds
FROM trainings
JOIN models ON models.id = trainings.model_id
JOIN datasets ON datasets.id = trainings.dataset_id
