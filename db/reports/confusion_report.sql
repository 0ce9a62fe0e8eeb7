-- How often a class is taken for another in an evaluation, at the confidence of the highest mean
-- F1; null is background: nothing is there, or nothing was seen.
-- Order: count DESC, COALESCE(true_class, ''), COALESCE(predicted_class, '')
SELECT
    job_id,
    true_class,
    predicted_class,
    count
FROM evaluation_confusion
