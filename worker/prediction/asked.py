"""The images that a spec means, seen to be those and to lie where they may."""

from __future__ import annotations

from db.errors import UsageError
from db.image_files import ImageFiles, find_images, sha256_of_images
from db.one_line import printable
from db.specs import PredictSpec
from worker.context import Context


def images_asked_for(spec: PredictSpec, context: Context) -> ImageFiles:
    """The images behind a spec's sources, if they are still those that were enqueued.

    Raises:
        UsageError: they are not, or a source lies outside the roots.
        Stopped: the job was told to stop.
    """
    left_out: list[str] = []
    images = find_images(spec.sources, context.roots, left_out.append)
    total = len(images.names)
    found = sha256_of_images(images, lambda done: context.advance(done, total, "images", "reading"))
    if found != spec.images_sha256:
        # What this worker may not read was there for whoever asked.
        hint = f" (left out here: {left_out[0]})" if left_out else ""
        raise UsageError(
            f"the images in {printable(str(images.folder))} have changed since they were "
            f"enqueued: ask again{hint}"
        )
    return images
