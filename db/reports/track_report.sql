-- Each track of a job: class by vote, frame range (frames count from 0), duration between the
-- first and the last detection by the video's own timestamps, and mean confidence.
SELECT
    job_id,
    track,
    class,
    first_frame,
    last_frame,
    last_frame - first_frame + 1 AS duration_frames,
    first_s,
    last_s,
    last_s - first_s AS duration_s,
    detections,
    mean_confidence
FROM tracks
