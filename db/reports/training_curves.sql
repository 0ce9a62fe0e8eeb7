-- Each epoch of a training: losses, metrics on the validation images, learning rates (a JSON list,
-- one for each group of parameters) and seconds; model and data set are null while it goes on.
-- `best` is 1 for the epoch whose weights are the model, or would be by now.
-- Order: epoch
SELECT
    training_epochs.job_id,
    training_epochs.epoch,
    models.name AS model,
    models.version AS model_version,
    trainings.base,
    datasets.name AS dataset,
    SUBSTR(datasets.sha256, 1, 12) AS dataset_content,
    training_epochs.box_loss,
    training_epochs.cls_loss,
    training_epochs.dfl_loss,
    training_epochs.val_box_loss,
    training_epochs.val_cls_loss,
    training_epochs.val_dfl_loss,
    training_epochs.precision,
    training_epochs.recall,
    training_epochs.map50,
    training_epochs.map50_95,
    CAST(training_epochs.learning_rates AS TEXT) AS learning_rates,
    training_epochs.seconds,
    CASE WHEN training_epochs.epoch = bests.epoch THEN 1 ELSE 0 END AS best,
    training_epochs.ended_at
FROM training_epochs
LEFT JOIN trainings ON trainings.job_id = training_epochs.job_id
LEFT JOIN models ON models.id = trainings.model_id
LEFT JOIN datasets ON datasets.id = trainings.dataset_id
LEFT JOIN (
    SELECT job_id, MAX(epoch) AS epoch FROM training_epochs WHERE best GROUP BY job_id
) AS bests
    ON bests.job_id = training_epochs.job_id
