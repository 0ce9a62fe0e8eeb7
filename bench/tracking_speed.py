"""How fast tracking is beside plain Norfair, on the same boxes in the same run.

`python -m bench.tracking_speed`: per number of boxes in a frame, frames per second of both and
the ratio of their times, as the median over interleaved repeats.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import norfair
import numpy as np

from db.specs import TrackerOptions
from worker.detection.detections import Detections
from worker.tracking import NorfairTracker

FRAMES = 300
REPEATS = 9


def products(boxes: int) -> list[Detections]:
    """So many products on a grid, of six classes, trembling, each missed in a tenth of frames."""
    rng = np.random.default_rng(boxes)
    corner = np.array([(120.0 * (k % 10), 160.0 * (k // 10)) for k in range(boxes)])
    frames = []
    for frame in range(FRAMES):
        seen = rng.random(boxes) < 0.9
        low = corner[seen] + rng.normal(0, 1, (seen.sum(), 2))
        frames.append(
            Detections(
                frame=frame,
                time_s=frame / 25,
                xyxy=np.hstack([low, low + np.array([80, 120])]).astype(np.float32),
                confidence=rng.uniform(0.3, 0.9, seen.sum()).astype(np.float32),
                class_id=(np.flatnonzero(seen) % 6).astype(np.int32),
            )
        )
    return frames


def ours(frames: list[Detections], options: TrackerOptions) -> None:
    """Track with Nightshelf's tracker."""
    tracker = NorfairTracker(options)
    for frame in frames:
        tracker.update(frame)
    tracker.finish()


def plain(frames: list[Detections], options: TrackerOptions) -> None:
    """Track as a notebook does: labels given, the active objects' estimates read."""
    tracker = norfair.Tracker(
        distance_function=options.distance_function,
        distance_threshold=options.distance_threshold,
        hit_counter_max=options.hit_counter_max,
        initialization_delay=options.initialization_delay,
    )
    for frame in frames:
        boxes = [
            norfair.Detection(
                points=xyxy.reshape(2, 2).astype(float),
                scores=np.array([confidence, confidence]),
                label=int(class_id),
            )
            for xyxy, confidence, class_id in zip(
                frame.xyxy, frame.confidence, frame.class_id, strict=True
            )
        ]
        for one in tracker.update(boxes):
            one.estimate.ravel()


def seconds(run: Callable[[list[Detections], TrackerOptions], None], boxes: int) -> float:
    """How long tracking `FRAMES` frames takes."""
    frames = products(boxes)
    start = time.perf_counter()
    run(frames, TrackerOptions())
    return time.perf_counter() - start


def main() -> None:
    """Measure and print one line per number of boxes."""
    print("boxes a frame   ours, frames/s   plain Norfair, frames/s   time ours / plain")
    for boxes in (10, 50):
        pairs = [(seconds(ours, boxes), seconds(plain, boxes)) for _ in range(REPEATS)]
        mine, theirs = (FRAMES / statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(own / other for own, other in pairs)
        print(f"{boxes:13}   {mine:14.0f}   {theirs:23.0f}   {ratio:17.2f}")


if __name__ == "__main__":
    main()
