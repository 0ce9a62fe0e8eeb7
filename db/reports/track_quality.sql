-- How many tracks of a job are short (under 1 s) and long (over 3 s), and their share of all:
-- many short ones mean identity switches or false detections.
SELECT
    trackings.job_id,
    COUNT(tracks.track) AS tracks,
    COUNT(CASE WHEN tracks.last_s - tracks.first_s < 1 THEN 1 END) AS short_tracks,
    COUNT(CASE WHEN tracks.last_s - tracks.first_s < 1 THEN 1 END)
        / CAST(NULLIF(COUNT(tracks.track), 0) AS DOUBLE PRECISION) AS short_share,
    COUNT(CASE WHEN tracks.last_s - tracks.first_s > 3 THEN 1 END) AS long_tracks,
    COUNT(CASE WHEN tracks.last_s - tracks.first_s > 3 THEN 1 END)
        / CAST(NULLIF(COUNT(tracks.track), 0) AS DOUBLE PRECISION) AS long_share
FROM trackings
LEFT JOIN tracks ON tracks.job_id = trackings.job_id
GROUP BY trackings.job_id
