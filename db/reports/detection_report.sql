-- Each box that a model saw in the images of a prediction: image, class, confidence, and corners in
-- pixels of the image as it is shown.
-- Order: number
SELECT
    detections.job_id,
    detections.number,
    prediction_images.name AS image,
    detections.class,
    detections.confidence,
    detections.x1,
    detections.y1,
    detections.x2,
    detections.y2
FROM detections
JOIN prediction_images
    ON prediction_images.job_id = detections.job_id
    AND prediction_images.number = detections.image_number
