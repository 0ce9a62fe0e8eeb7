-- Each class that a job saw: tracks (a product counts again at every identity switch), the most
-- at one moment, and how many were visible on average.
SELECT
    class_counts.job_id,
    class_counts.class,
    class_counts.tracks,
    class_counts.peak_simultaneous,
    class_counts.mean_visible,
    class_counts.detections,
    durations.mean_duration_s,
    durations.mean_confidence
FROM class_counts
JOIN (
    SELECT
        job_id,
        class,
        AVG(last_s - first_s) AS mean_duration_s,
        SUM(mean_confidence * detections) / SUM(detections) AS mean_confidence
    FROM tracks
    GROUP BY job_id, class
) AS durations
    ON durations.job_id = class_counts.job_id AND durations.class = class_counts.class
