-- What a job saw, in one row: the video, how much of it was looked at, and how long tracks lasted.
SELECT
    trackings.job_id,
    videos.address AS video,
    models.name AS model,
    models.version AS model_version,
    videos.duration_s AS video_s,
    videos.frames_decoded,
    videos.frames_missing,
    trackings.frames_processed,
    trackings.frames_inferred,
    trackings.limited_frames,
    trackings.detections,
    COUNT(tracks.track) AS tracks,
    CAST(AVG(tracks.last_frame - tracks.first_frame + 1) AS DOUBLE PRECISION) AS mean_duration_frames,
    MAX(tracks.last_frame - tracks.first_frame + 1) AS max_duration_frames,
    MIN(tracks.last_frame - tracks.first_frame + 1) AS min_duration_frames,
    AVG(tracks.last_s - tracks.first_s) AS mean_duration_s,
    MAX(tracks.last_s - tracks.first_s) AS max_duration_s,
    MIN(tracks.last_s - tracks.first_s) AS min_duration_s
FROM trackings
JOIN videos ON videos.id = trackings.video_id
JOIN models ON models.id = trackings.model_id
LEFT JOIN tracks ON tracks.job_id = trackings.job_id
GROUP BY
    trackings.job_id,
    videos.address,
    models.name,
    models.version,
    videos.duration_s,
    videos.frames_decoded,
    videos.frames_missing,
    trackings.frames_processed,
    trackings.frames_inferred,
    trackings.limited_frames,
    trackings.detections
