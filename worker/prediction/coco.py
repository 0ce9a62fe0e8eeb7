"""Detections as one COCO JSON file: images, categories, and annotations with a score.

The format is COCO's for data sets (https://cocodataset.org/#format-data), which pycocotools,
FiftyOne and CVAT load, with the `score` of its results format in each annotation. Boxes are x, y of
the upper left corner, width and height, in pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import polars as pl

_ROWS_AT_ONCE = 50_000


def write_coco(
    path: Path, images: Path, detections: Path, names: Mapping[int, str], about: str
) -> None:
    """Write a COCO file from the tables of a prediction, which are not held in memory.

    Ids of images and annotations are their numbers. A category's id is the model's class id + 1:
    COCO counts from 1, and some readers take 0 for the background.

    Args:
        path: the file to write.
        images: Parquet, as `worker.jobs.predict` writes it; those without a size are left out.
        detections: Parquet.
        names: class id to name, of the model.
        about: what it is, in a sentence.
    """
    categories = [{"id": number + 1, "name": name} for number, name in names.items()]
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps({"description": about}, ensure_ascii=False)},\n')
        file.write(f'"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
        _write_list(file, map(_image, _rows(pl.scan_parquet(images).filter(~_UNREAD))))
        file.write('],\n"annotations": [')
        _write_list(file, map(_annotation, _rows(pl.scan_parquet(detections))))
        file.write("]}\n")


_UNREAD = pl.col("width").is_null()


def _write_list(file: IO[str], values: Iterable[dict[str, Any]]) -> None:
    separator = "\n"
    for value in values:
        file.write(separator + json.dumps(value, ensure_ascii=False))
        separator = ",\n"


def _rows(table: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    offset = 0
    while rows := table.slice(offset, _ROWS_AT_ONCE).collect().to_dicts():
        yield from rows
        offset += len(rows)


def _image(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["number"],
        "file_name": row["name"],
        "width": row["width"],
        "height": row["height"],
    }


def _annotation(row: dict[str, Any]) -> dict[str, Any]:
    x, y = row["x1"], row["y1"]
    width, height = row["x2"] - x, row["y2"] - y
    return {
        "id": row["number"],
        "image_id": row["image_number"],
        "category_id": row["class_id"] + 1,
        "bbox": [round(value, 3) for value in (x, y, width, height)],
        "area": round(width * height, 3),
        "iscrowd": 0,
        "score": round(row["confidence"], 6),
    }
