-- Precision, recall and F1 of an evaluation at each confidence, for each class and as the mean over
-- the classes (class null).
-- Order: CASE WHEN class IS NULL THEN 1 ELSE 0 END, class, confidence
SELECT
    job_id,
    class,
    confidence,
    precision,
    recall,
    f1
FROM evaluation_sweep
