-- How often a class is taken for another in an evaluation, at the confidence of the highest mean
-- F1; `background` is where nothing is there, or nothing was seen.
-- Order: count DESC, true_class, predicted_class
SELECT
    job_id,
    COALESCE(true_class, 'background') AS true_class,
    COALESCE(predicted_class, 'background') AS predicted_class,
    count
FROM evaluation_confusion
