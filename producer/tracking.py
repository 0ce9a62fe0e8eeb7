"""Ask for videos to be tracked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from db.errors import UsageError
from db.files import sha256_of
from db.specs import Priority, TrackerOptions, TrackSpec
from producer.enqueue import Enqueued, enqueue, validated
from producer.evaluating import operating_point_of
from producer.inputs import LeavingOut, find_videos, log_left_out
from producer.registry import Model, usable_model

Reading = Callable[[Path, int], None]
"""Called with a file and the bytes of it that were read so far."""


def _silent(path: Path, done: int) -> None:
    return None


def track(
    videos: Iterable[str | Path],
    model: str,
    *,
    conf: float | Literal["auto"] = 0.25,
    precision: float | None = None,
    iou: float = 0.7,
    imgsz: int = 640,
    classes: Sequence[str] | None = None,
    stride: int = 1,
    device: str | None = None,
    tracker: TrackerOptions | None = None,
    annotate: bool = False,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    on_read: Reading = _silent,
    on_left_out: LeavingOut = log_left_out,
) -> list[Enqueued]:
    """Enqueue a `track` job for each video; one that was tracked this way before is not new.

    Videos are read for their content one after the other, and enqueued as they are read.

    Args:
        videos: files, globs or folders.
        model: `name`, which means its production version, or `name@version`.
        conf: detections below this confidence are not tracked, 0 to 1; `auto` for that of the
            highest F1 in the model's last evaluation.
        precision: with `auto`, the lowest confidence that reaches this precision there instead.
        iou: IoU above which NMS drops the weaker box.
        imgsz: inference size in pixels, a multiple of 32.
        classes: names of the classes to track; all if None.
        stride: look at every n-th frame.
        device: `cpu`, `cuda:0`; the worker's own if None.
        tracker: how detections become tracks.
        annotate: write an H.264 video with the tracks drawn.
        priority: which of the waiting jobs go first.
        force: make another job even if one did the same.
        on_read: called while the videos are read for their sha256.
        on_left_out: called for each file of a folder or glob that cannot be taken; by default
            that is logged.

    Raises:
        UsageError: a value, a class or a video cannot be, or `auto` is asked for and the model was
            never evaluated, or never was as precise; nothing is enqueued.
        ModelError: the model was never registered, or its file is gone.
        OSError: a video cannot be read; those before it are enqueued, as a note on it says.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    if precision is not None and conf != "auto":
        raise UsageError(f"a precision chooses the confidence: give it with `auto`, not {conf}")
    registered = usable_model(model)
    if conf == "auto":
        conf = operating_point_of(registered, imgsz=imgsz, precision=precision).confidence
    found = find_videos(videos, on_left_out)
    # A mistake in a value is told before gigabytes are read for their content.
    spec = validated(
        TrackSpec,
        video=str(found[0]),
        video_sha256="0" * 64,
        model=registered.reference,
        model_sha256=registered.sha256,
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        classes=known_classes(classes, registered),
        stride=stride,
        device=device,
        tracker=tracker or TrackerOptions(),
        annotate=annotate,
    )
    specs = (
        spec.model_copy(
            update={
                "video": str(path),
                "video_sha256": sha256_of(path, partial(on_read, path)),
            }
        )
        for path in found
    )
    return enqueue(specs, priority=priority, force=force)


def known_classes(classes: Sequence[str] | None, registered: Model) -> tuple[str, ...] | None:
    """The classes that are asked for, each once and in order.

    Raises:
        UsageError: the model does not know one of them; the message lists near names.
    """
    if classes is None:
        return None
    for name in classes:
        if name not in registered.classes:
            near = difflib.get_close_matches(name, registered.classes, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "it has none with a near name"
            raise UsageError(
                f"model {registered.name!r} has no class {name!r}: {hint} "
                f"(`nightshelf models show {registered.name}` lists all)"
            )
    return tuple(sorted(set(classes)))  # in another order it is the same request
