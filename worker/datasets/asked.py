"""The data set that a spec means, seen to be that and to lie where it may."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from db.dataset_files import DatasetFiles, find_dataset, sha256_of_dataset, sha256_of_layout
from db.errors import DatasetError
from worker.context import Context
from worker.inputs import allowed_file


def dataset_asked_for(
    data: str, sha256: str, context: Context, layout_sha256: str | None = None
) -> DatasetFiles:
    """The data set behind a YAML file, if it is still the one that was enqueued.

    Args:
        data: the file.
        sha256: of the data set's content.
        context: of the job.
        layout_sha256: of how it lies; None if that does not matter.

    Raises:
        DatasetError: the file stands for no data set, or for another one by now.
        UsageError: a file of it lies outside the roots.
        Stopped: the job was told to stop.
    """
    files = find_dataset(allowed_file(Path(data), context.roots))
    for images in files.splits.values():
        for image in images:
            if image.is_file():
                allowed_file(image, context.roots)
    found = sha256_of_dataset(files, partial(context.advance, unit="images", note="reading"))
    moved = layout_sha256 is not None and layout_sha256 != sha256_of_layout(files)
    if found != sha256 or moved:
        raise DatasetError(
            f"{files.data} or its images have changed since they were enqueued: ask again"
        )
    return files
