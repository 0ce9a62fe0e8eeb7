"""Look at images with a model: the boxes as rows, as COCO, and drawn.

In a notebook, with no queue and no database: `predict.run(spec, Context(home, folder))`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import polars as pl

from db.errors import UsageError
from db.file_facts import FileFacts
from db.image_files import ImageFiles
from db.layout import model_address
from db.prediction_results import ANNOTATED, DETECTIONS, IMAGES, PredictResult
from db.specs import PredictSpec
from worker.checkpoint import verify
from worker.context import Context
from worker.detection.detector import Detector, Seen
from worker.detection.kept import kept_detector
from worker.prediction.asked import images_asked_for
from worker.prediction.coco import write_coco
from worker.prediction.pictures import Picture, read_pictures
from worker.row_file import RowFile

_CSV = "detections.csv"
_COCO = "coco.json"

_IMAGE_COLUMNS = pl.Schema(
    {
        "number": pl.Int64,
        "name": pl.String,
        "width": pl.Int64,
        "height": pl.Int64,
        "detections": pl.Int64,
        "limited": pl.Boolean,
        "problem": pl.String,
    }
)
_DETECTION_COLUMNS = pl.Schema(
    {
        "number": pl.Int64,
        "image_number": pl.Int64,
        "image": pl.String,
        "class_id": pl.Int64,
        "class": pl.String,
        "confidence": pl.Float32,
        "x1": pl.Float32,
        "y1": pl.Float32,
        "x2": pl.Float32,
        "y2": pl.Float32,
    }
)

# Ultralytics' own limit on the boxes that enter NMS: no image has more.
_NO_LIMIT = 30_000


def run(spec: PredictSpec, context: Context) -> PredictResult:
    """Say what a model sees in images; an image that cannot be read is counted and named.

    Raises:
        UsageError: the images have changed, lie outside the roots, or none of them can be read; or
            the device is not there.
        ModelError: the model's file is gone or has changed.
        Stopped: the job was told to stop.
    """
    weights = context.home / model_address(spec.model_sha256)
    verify(weights, spec.model_sha256)
    context.advance(0, None, "images", "loading the model")
    device = spec.device or context.device
    # What is not asked for must not take the place of what is.
    max_det = spec.max_det if spec.classes is None else _NO_LIMIT
    detector = kept_detector(weights, device, spec.conf, spec.iou, spec.imgsz, max_det)
    images = images_asked_for(spec, context)
    began = time.monotonic()
    counts = _look(spec, context, images, detector)
    seconds = time.monotonic() - began
    table = pl.scan_parquet(context.folder / DETECTIONS)
    table.sink_csv(context.folder / _CSV)
    write_coco(
        context.folder / _COCO,
        context.folder / IMAGES,
        context.folder / DETECTIONS,
        detector.class_names,
        f"What {spec.model} (sha256 {spec.model_sha256}) sees above a confidence of {spec.conf}",
    )
    return PredictResult(
        folder=str(images.folder),
        device=device,
        images=counts.images,
        unreadable=counts.unreadable,
        limited=counts.limited,
        detections=counts.detections,
        seconds=seconds,
        files=tuple(
            FileFacts.of(context.folder / name) for name in (IMAGES, DETECTIONS, _CSV, _COCO)
        ),
    )


@dataclass(slots=True)
class _Counts:
    """How many images were looked at so far, and what was in them."""

    images: int = 0
    unreadable: int = 0
    limited: int = 0
    detections: int = 0


def _look(spec: PredictSpec, context: Context, images: ImageFiles, detector: Detector) -> _Counts:
    """Look at every image, and write what is in it."""
    counts = _Counts()
    problem = None
    files = frozenset(images.names)
    with (
        RowFile(context.folder / IMAGES, _IMAGE_COLUMNS) as image_rows,
        RowFile(context.folder / DETECTIONS, _DETECTION_COLUMNS) as detection_rows,
        closing(read_pictures(images, spec.imgsz)) as pictures,
    ):
        for batch in _batches(pictures, detector.batch_size):
            for picture, seen in _seen(spec, batch, detector):
                image_rows.add([_image_row(picture, seen)])
                if seen is None:
                    counts.unreadable += 1
                    problem = problem or f"{picture.name}: {picture.problem}"
                else:
                    names = detector.class_names
                    detection_rows.add(_detection_rows(counts.detections, picture, seen, names))
                    counts.detections += len(seen.confidence)
                    counts.limited += seen.limited
                    if spec.annotate:
                        _draw(context.folder / ANNOTATED, picture, files, seen, names)
            counts.images += len(batch)
            context.advance(counts.images, len(images.names), "images", "looking")
        if counts.unreadable == counts.images:
            raise UsageError(f"none of {counts.images} images can be read; {problem}")
    return counts


def _batches(pictures: Iterator[Picture], size: int) -> Iterator[list[Picture]]:
    """Pictures of one shape that follow each other, `size` at most; or some without an image."""
    for _, alike in groupby(pictures, key=lambda picture: picture.shape):
        while batch := list(islice(alike, size)):
            yield batch


def _seen(
    spec: PredictSpec, batch: Sequence[Picture], detector: Detector
) -> Iterator[tuple[Picture, Seen | None]]:
    found = [picture.image for picture in batch if picture.image is not None]
    seen = iter(detector.detect(found) if found else ())
    names = detector.class_names
    for picture in batch:
        one = None if picture.image is None else next(seen)
        if one is not None and spec.classes is not None:
            wanted = [number for number, name in names.items() if name in spec.classes]
            one = _only(one, wanted, spec.max_det)
        yield picture, one


def _only(seen: Seen, wanted: Sequence[int], max_det: int) -> Seen:
    """The detections of some classes, `max_det` at most.

    NMS is done for each class by itself, so that it does not matter whether it knew of the others.
    """
    places = np.flatnonzero(np.isin(seen.class_id, wanted))
    kept = places[:max_det]
    return Seen(
        seen.xyxy[kept],
        seen.confidence[kept],
        seen.class_id[kept],
        seen.limited or len(places) > max_det,
    )


def _image_row(picture: Picture, seen: Seen | None) -> tuple[object, ...]:
    if picture.image is None or seen is None:
        return (picture.number, picture.name, None, None, 0, False, picture.problem)
    height, width = picture.image.shape[:2]
    detections = len(seen.confidence)
    return (picture.number, picture.name, width, height, detections, seen.limited, None)


def _detection_rows(
    before: int, picture: Picture, seen: Seen, names: dict[int, str]
) -> list[tuple[object, ...]]:
    found = zip(seen.class_id.tolist(), seen.confidence.tolist(), seen.xyxy.tolist(), strict=True)
    return [
        (number, picture.number, picture.name, class_id, names[class_id], confidence, *xyxy)
        for number, (class_id, confidence, xyxy) in enumerate(found, start=before + 1)
    ]


def _draw(
    folder: Path, picture: Picture, files: Collection[str], seen: Seen, names: dict[int, str]
) -> None:
    from worker.prediction.drawing import drawn_name, write_drawn

    assert picture.image is not None
    write_drawn(folder / drawn_name(picture.name, files), picture.image, seen, names)
