-- The objects of each class and size in an evaluation, how many of them were found, at the
-- confidence of the highest mean F1, and how many were not seen at all; the rest was seen in the
-- wrong place or as another class. Small is less than 32 x 32 pixels, large from 96 x 96 on.
-- Order: class, CASE size WHEN 'small' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END
SELECT
    job_id,
    class,
    size,
    instances,
    found,
    missed,
    missed / CAST(NULLIF(instances, 0) AS DOUBLE PRECISION) AS miss_rate
FROM evaluation_misses
