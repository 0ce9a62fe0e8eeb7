-- Each class of an evaluation, and the mean over them (class null): precision, recall and F1 at the
-- confidence of the highest mean F1, average precision at IoU 0.5 and over IoU 0.5 to 0.95, and the
-- confidence of the class's own highest F1; metrics are null where the split has none of a class.
-- Order: CASE WHEN class IS NULL THEN 1 ELSE 0 END, class
SELECT
    job_id,
    class,
    images,
    instances,
    precision,
    recall,
    f1,
    map50,
    map50_95,
    best_confidence
FROM evaluation_classes
UNION ALL
SELECT
    job_id,
    NULL AS class,
    images,
    instances,
    precision,
    recall,
    f1,
    map50,
    map50_95,
    best_confidence
FROM evaluations
